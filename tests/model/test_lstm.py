"""The layerwise graph: losses and gradients equal those of Magenta's graph."""

import copy
from typing import Any

import numpy as np
import pytest

from groovae.config import config_map
from groovae.config.config_map import CONFIG_MAP
from groovae.errors import UsageError
from groovae.model.lstm import LayerwiseDecoder, LayerwiseEncoder, layerwise
from groovae.training.distributed.replica import Replica
from groovae.training.graph import MusicVAEAtMu, build
from groovae.upstream import MusicVAE, lstm_models, tf

PLAIN = (
    "batch_size=4,enc_rnn_size=[12],dec_rnn_size=[10,8],z_size=6,free_bits=0,dropout_keep_prob=1"
)
GIVEN_HITS = "groovae_2bar_hits_control_tfds"
SCHEDULED = "sampling_schedule=constant,sampling_rate=1.0"


def loss_and_gradients(
    config: Any, weights: dict[str, np.ndarray]
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss of a random batch at z = mu, and its gradients by variable.

    Fill `weights` with random ones if it is empty.
    """
    with tf.Graph().as_default(), tf.Session(config=Replica().session_config()) as session:
        model = MusicVAEAtMu(*copy.deepcopy((config.model.encoder, config.model.decoder)))
        inputs = build(model, config, is_training=True)
        model.train(**inputs)
        variables = {v.op.name: v for v in tf.trainable_variables()}
        weights.update(weights or random_weights(variables))
        assert set(variables) == set(weights)
        session.run(tf.global_variables_initializer())
        for name, variable in variables.items():
            variable.load(weights[name], session)
        model.global_step.load(1, session)  # at step 0 the KL cost has no weight
        gradients = tf.gradients(model.loss, list(variables.values()))
        gradients = dict(zip(variables, map(tf.convert_to_tensor, gradients), strict=True))
        return session.run((model.loss, gradients), random_batch(inputs, config.hparams))


def random_weights(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """Return weights for which no hit is ever drawn, so that no random number matters."""
    rng = np.random.default_rng(0)
    weights = {
        name: rng.normal(0, 0.3 / np.sqrt(int(v.shape[0])), v.shape).astype(np.float32)
        for name, v in sorted(variables.items())
    }
    weights["decoder/output_projection/bias"][:9] = -30
    return weights


def random_batch(inputs: dict[str, Any], hparams: Any) -> dict[Any, Any]:
    """Return windows of which one is whole and the others are shorter."""
    rng = np.random.default_rng(1)
    batch, steps = hparams.batch_size, hparams.max_seq_len
    feed = {
        tensor: (rng.random([batch, steps, int(tensor.shape[2])]) > 0.7).astype(np.float32)
        for name, tensor in inputs.items()
        if tensor is not None and name != "sequence_length"
    }
    return {**feed, inputs["sequence_length"]: [steps, 20, 7, 1]}


def each_structure() -> list[str]:
    """Return a config of each graph: many differ only in the size of their windows or controls."""
    names = {}
    for name in sorted(CONFIG_MAP):
        config = config_map.get_config(name)
        layers = (type(config.model.encoder), type(config.model.decoder))
        hparams = {**config.hparams.values(), "max_seq_len": None}
        has_controls = config.data_converter.control_depth > 0
        names[layers, has_controls, str(sorted(hparams.items()))] = name
    return [*names.values()]


@pytest.mark.parametrize(
    ("name", "hparams"),
    [
        *((name, "") for name in each_structure()),
        (
            "groovae_2bar_hits_control_tfds",
            "enc_rnn_size=[6,9],residual_encoder=true,dec_rnn_size=[6,6,9],residual_decoder=true",
        ),
        ("groovae_2bar_hits_control_tfds", SCHEDULED),
    ],
)
def test_loss_and_gradients_equal_magentas(name: str, hparams: str) -> None:
    config = config_map.get_config(name, [PLAIN, hparams] if hparams else PLAIN)
    weights: dict[str, np.ndarray] = {}
    loss, gradients = loss_and_gradients(config, weights)
    our_loss, our_gradients = loss_and_gradients(layerwise(config), weights)
    assert our_loss == pytest.approx(loss, rel=1e-5)
    for variable, gradient in gradients.items():
        tolerance = 1e-5 * np.abs(gradient).max()
        np.testing.assert_allclose(our_gradients[variable], gradient, rtol=0, atol=tolerance)


def test_bfloat16_loss_and_gradients_are_near_those_of_float32() -> None:
    config = config_map.get_config("groovae_2bar_humanize", [PLAIN, "dec_rnn_size=[8]"])
    weights: dict[str, np.ndarray] = {}
    loss, gradients = loss_and_gradients(layerwise(config), weights)
    rounded_loss, rounded = loss_and_gradients(layerwise(config, "bfloat16"), weights)
    assert 0 < abs(rounded_loss - loss) < 1e-2 * loss
    for variable, gradient in gradients.items():
        error = np.linalg.norm(rounded[variable] - gradient)
        assert error < 0.1 * np.linalg.norm(gradient), variable


def test_absolute_feel_loss_is_of_absolute_errors_at_hits() -> None:
    rng = np.random.default_rng(0)
    targets, outputs = rng.random((2, 5, 27)).astype(np.float32)
    targets[:, :9] = targets[:, :9] > 0.5
    with tf.Graph().as_default(), tf.Session() as session:
        config = config_map.get_config(GIVEN_HITS, f"{PLAIN},feel_loss=absolute")
        decoder = layerwise(config).model.decoder
        decoder.build(config.hparams, output_depth=27)
        loss, metrics = decoder._flat_reconstruction_loss(targets, tf.constant(outputs))
        session.run(tf.local_variables_initializer())
        found, _ = session.run((loss, metrics))
    played, found_hits = targets[:, :9] > 0, 1 / (1 + np.exp(-outputs[:, :9]))
    log_loss = -np.log(np.where(played, found_hits, 1 - found_hits))
    velocity_errors = targets[:, 9:18] - 1 / (1 + np.exp(-outputs[:, 9:18]))
    offset_errors = targets[:, 18:] - np.tanh(outputs[:, 18:])
    expected = log_loss.sum(axis=1)
    for errors in (velocity_errors, offset_errors):
        expected += np.where(played, np.abs(errors), errors**2).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len(metrics) == 3


def test_absolute_feel_loss_needs_the_layerwise_decoder() -> None:
    asked = f"{PLAIN},{SCHEDULED},residual_decoder=true,feel_loss=absolute"
    with pytest.raises(UsageError, match="residual_decoder"):
        layerwise(config_map.get_config(GIVEN_HITS, asked))


def test_own_encoders_and_decoders_are_kept() -> None:
    class Encoder(lstm_models.BidirectionalLstmEncoder):
        pass

    config = config_map.get_config("groovae_4bar")
    own = MusicVAE(Encoder(), config.model.decoder)
    model = layerwise(config_map.update_config(config, {"model": own})).model
    assert (type(model.encoder), type(model.decoder)) == (Encoder, LayerwiseDecoder)
    hparams = [SCHEDULED, "residual_decoder=true"]
    model = layerwise(config_map.get_config("groovae_4bar", hparams)).model
    kept = lstm_models.GrooveLstmDecoder
    assert (type(model.encoder), type(model.decoder)) == (LayerwiseEncoder, kept)
