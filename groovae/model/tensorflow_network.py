"""The network of a trained model in TensorFlow: Magenta's `TrainedModel`, told what is chance.

The original draws each hit inside of its graph, Bernoulli(sigmoid(logit / temperature)). Here a hit
falls where its logit is over a threshold, and the thresholds are fed (see `latent.thresholds`).
The same numbers then give the same hits, one by one or in a batch, and a hit can be given or ruled
out, so that a model plays just the hits that it is asked for, and hears itself doing so.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config import config_map
from groovae.config.tasks import CONFIGS, check_task, config_for, how_to_get
from groovae.errors import GroovaeError
from groovae.model.checkpoints import check_fits, damaged, need_checkpoint
from groovae.upstream import MusicVAE, TrainedModel, lstm_models, tf


class ThresholdDecoder(lstm_models.GrooveLstmDecoder):
    """Magenta's decoder, with the same variables, and hits by threshold.

    Attributes:
      thresholds: The placeholder, float32 [n, steps, drums], in the graph that `sample` made.
    """

    def sample(self, n: int, *args: Any, **kwargs: Any) -> Any:
        self.thresholds = tf.placeholder(tf.float32, [n, None, self._output_depth // 3])
        return super().sample(n, *args, **kwargs)

    def _decode(self, z: Any, helper: Any, *args: Any, **kwargs: Any) -> Any:
        sample_now = helper._sample_fn

        def sample_at(time: Any, **step: Any) -> Any:
            self._thresholds_now = self.thresholds[:, time]
            return sample_now(time=time, **step)

        helper._sample_fn = sample_at
        return super()._decode(z, helper, *args, **kwargs)

    def _sample(self, rnn_output: Any, temperature: Any) -> Any:
        logits, velocities, offsets = tf.split(rnn_output, 3, axis=1)
        hits = tf.cast(logits > self._thresholds_now, tf.float32)
        return tf.concat([hits, tf.nn.sigmoid(velocities), tf.nn.tanh(offsets)], axis=1)


class TensorFlowNetwork:
    """Encoder and decoder of a checkpoint.

    Attributes:
      checkpoint: The prefix it was loaded from.
      config_name: The key of `CONFIG_MAP`.
      config: Its configuration, with the hparams it was trained with.
      layout: How it was trained to cut a groove, and what its encoder gets to see.
      z_size: Of a latent.
      trained_model: Magenta's `TrainedModel`.
    """

    def __init__(self, checkpoint: str, config_name: str, config: Any, batch_size: int):
        """Loads a checkpoint; raises the GroovaeError of one that is damaged or another model's."""
        self.checkpoint, self.config_name, self.config = checkpoint, config_name, config
        self.layout, self.z_size = config_map.layout(config), config.hparams.z_size
        model = MusicVAE(config.model.encoder, ThresholdDecoder())
        # Magenta feeds all of a batch the same controls.
        self._batch_size = 1 if config.data_converter.control_depth else batch_size
        config = config_map.update_config(config, {"model": model})
        self.trained_model = _load(checkpoint, config_name, config, self._batch_size)

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`mu` and `sigma`, float32 [n, z_size], of `inputs` [n, steps, depth]."""
        lengths = [inputs.shape[1]] * len(inputs)
        _, mu, sigma = self.trained_model.encode_tensors(list(inputs), lengths, list(controls))
        return mu, sigma

    def decode(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decodes latents, a batch at a time.

        Args:
          z: [n, z_size], n of 1 or more.
          thresholds: float32 [n, steps, drums]; see `latent.thresholds` and `latent.given`.
          controls: float32 [n, steps, control_depth].

        Returns:
          float32 [n, steps, depth], and how likely each hit was, float32 [n, steps, drums].

        Raises:
          GroovaeError: the model gives what is no number.
        """
        batches = [
            self._decode_batch(
                *(part[i : i + self._batch_size] for part in (z, thresholds, controls))
            )
            for i in range(0, len(z), self._batch_size)
        ]
        tensors, outputs = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        if not np.isfinite(tensors).all():
            raise GroovaeError(
                f"{self.checkpoint}: the model gives values that are not numbers; "
                "its training has failed, name an older checkpoint"
            )
        logits = outputs[..., : thresholds.shape[-1]]
        return tensors, 0.5 * (1 + np.tanh(logits / 2))  # the sigmoid, without an overflow

    def _decode_batch(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Samples and outputs of the decoder, for at most a batch."""
        model = self.trained_model
        missing = [(0, self._batch_size - len(z))]
        feed = {
            model._z_input: np.pad(z, [*missing, (0, 0)]),
            model._config.model.decoder.thresholds: np.pad(thresholds, [*missing, (0, 0), (0, 0)]),
            model._max_length: thresholds.shape[1],
            model._temperature: 1.0,  # the thresholds have it
        }
        if controls.shape[-1]:
            feed[model._c_input] = controls[0]
        decoded = model._sess.run([model._outputs, model._decoder_results.rnn_output], feed)
        return decoded[0][: len(z)], decoded[1][: len(z)]


def load(
    checkpoint: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> TensorFlowNetwork:
    """The network of a checkpoint that is fit for a task; see `generate.load_model`."""
    prefix = need_checkpoint(checkpoint, how_to_get(task) if task in CONFIGS else None)
    folder = Path(prefix).parent
    name, full_config = config_map.resolve_config(folder, config, hparams, config_for(task))
    if task is not None:
        check_task(task, name, str(checkpoint))
    return TensorFlowNetwork(prefix, name, full_config, batch_size)


def _load(checkpoint: str, config_name: str, config: Any, batch_size: int) -> Any:
    """Magenta's `TrainedModel`, with an error that fits into a line where it fills a screen."""
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
