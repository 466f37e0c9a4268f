"""The network of a checkpoint: Magenta's `TrainedModel`, with hits decided by given thresholds.

Magenta's decoder samples each hit in its graph, from Bernoulli(sigmoid(logit / temperature)). Here
there is a hit where the logit is above a threshold, and the thresholds are fed (see `latent`). The
same thresholds give the same hits, one by one or in a batch, and infinite ones force or prevent a
hit, so that the decoder is conditioned on given hits.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config import config_map
from groovae.config.tasks import CONFIGS, check_task, config_for, how_to_get
from groovae.model.checkpoints import (
    check_fits,
    check_safe,
    damaged,
    model_fingerprint,
    need_checkpoint,
)
from groovae.model.network import Decoded, check_finite, in_batches
from groovae.upstream import MusicVAE, TrainedModel, lstm_models, tf


class ThresholdDecoder(lstm_models.GrooveLstmDecoder):
    """Magenta's decoder, with the same variables, and hits decided by thresholds.

    Attributes:
      thresholds: The placeholder, float32 [n, steps, drums], in the graph that `sample` built.
    """

    def sample(self, n: int, *args: Any, **kwargs: Any) -> Any:
        self.thresholds = tf.placeholder(tf.float32, [n, None, self._output_depth // 3])
        return super().sample(n, *args, **kwargs)

    def _decode(self, z: Any, helper: Any, *args: Any, **kwargs: Any) -> Any:
        sample_fn = helper._sample_fn

        def sample_at(time: Any, **step: Any) -> Any:
            self._step_thresholds = self.thresholds[:, time]
            return sample_fn(time=time, **step)

        helper._sample_fn = sample_at
        return super()._decode(z, helper, *args, **kwargs)

    def _sample(self, rnn_output: Any, temperature: Any) -> Any:
        logits, velocities, offsets = tf.split(rnn_output, 3, axis=1)
        hits = tf.cast(logits > self._step_thresholds, tf.float32)
        return tf.concat([hits, tf.nn.sigmoid(velocities), tf.nn.tanh(offsets)], axis=1)


class TensorFlowNetwork:
    """Encoder and decoder of a checkpoint; see `groovae.model.network.Network`.

    Attributes:
      checkpoint, config_name, layout, z_size, drum_map, hparams: See `Network`.
      config: The config, with the hparams the model was trained with.
      trained_model: Magenta's `TrainedModel`.
    """

    def __init__(self, checkpoint: str, config_name: str, config: Any, batch_size: int):
        """Load a checkpoint; raise a GroovaeError if it is damaged or of another model."""
        self.checkpoint, self.config_name, self.config = checkpoint, config_name, config
        self.layout, self.z_size = config_map.layout(config), config.hparams.z_size
        self.drum_map, self.hparams = config_map.drum_map_of(config), config.hparams.values()
        model = MusicVAE(config.model.encoder, ThresholdDecoder())
        # Magenta feeds the same controls to all of a batch.
        self._batch_size = 1 if config.data_converter.control_depth else batch_size
        config = config_map.update_config(config, {"model": model})
        self.trained_model = _load_trained_model(checkpoint, config_name, config, self._batch_size)

    def fingerprint(self) -> str:
        return model_fingerprint(self.checkpoint)

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lengths = [inputs.shape[1]] * len(inputs)
        _, mu, sigma = self.trained_model.encode_tensors(list(inputs), lengths, list(controls))
        return mu, sigma

    def decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Decoded:
        tensors, outputs = in_batches(self._decode, self._batch_size, z, thresholds, controls)
        check_finite(tensors, self.checkpoint)
        logits = outputs[..., : thresholds.shape[-1]]
        return tensors, 0.5 * (1 + np.tanh(logits / 2))  # the sigmoid, without an overflow

    def _decode(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> list[np.ndarray]:
        """Return the samples and the raw outputs of the decoder for at most a batch."""
        model = self.trained_model
        padding = [(0, self._batch_size - len(z))]
        feed = {
            model._z_input: np.pad(z, [*padding, (0, 0)]),
            model._config.model.decoder.thresholds: np.pad(thresholds, [*padding, (0, 0), (0, 0)]),
            model._max_length: thresholds.shape[1],
            model._temperature: 1.0,  # the thresholds are scaled already
        }
        if controls.shape[-1]:
            feed[model._c_input] = controls[0]
        decoded = model._sess.run([model._outputs, model._decoder_results.rnn_output], feed)
        return [output[: len(z)] for output in decoded]


def load_checkpoint(
    checkpoint: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> TensorFlowNetwork:
    """Load a checkpoint for a task; see `loading.load_model` for arguments and errors."""
    prefix = need_checkpoint(checkpoint, how_to_get(task) if task in CONFIGS else None)
    folder = Path(prefix).parent
    name, full_config = config_map.resolve_config(folder, config, hparams, config_for(task))
    if task is not None:
        check_task(task, name, config_map.layout(full_config), str(checkpoint))
    return TensorFlowNetwork(prefix, name, full_config, batch_size)


def _load_trained_model(checkpoint: str, config_name: str, config: Any, batch_size: int) -> Any:
    """Load Magenta's `TrainedModel`, with an error message of one line instead of a screen."""
    check_safe(checkpoint)
    try:
        model = TrainedModel(config, batch_size, checkpoint)
    except tf.errors.OpError as error:
        if error.op is not None:
            _check_graph(checkpoint, error.op.graph, config_name)
        raise damaged(checkpoint, error) from error
    _check_graph(checkpoint, model._sess.graph, config_name)
    return model


def _check_graph(checkpoint: str, graph: Any, config_name: str) -> None:
    check_fits(checkpoint, graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES), config_name)
