"""Draws grooves from a trained checkpoint: a thin library over Magenta's `TrainedModel`.

    from groovae.generate import load_model
    model = load_model(".train", seed=7)
    grooves = model.sample(num_outputs=4, temperature=0.5, tempo_qpm=96)

A groove is a NoteSequence at its own tempo, in 4/4. Its first hits may lie a little before time 0,
where the model plays ahead of the beat; `groovae.midi.write_midi` keeps them.
"""

import math
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae import configs
from groovae.checkpoints import check_fits, damaged, need_checkpoint
from groovae.errors import GroovaeError, UsageError
from groovae.upstream import SeededMusicVAE, TrainedModel, note_seq, tf

MAX_BATCH_SIZE = 64


class GrooveModel:
    """A trained GrooVAE model, ready to encode, decode and sample.

    Attributes:
      checkpoint: The prefix of the checkpoint it was loaded from.
      config_name: The key of `CONFIG_MAP`.
      config: Its configuration, with the hparams it was trained with.
      seed: What its random draws start from.
      trained_model: Magenta's own `TrainedModel`, with all that it offers.
    """

    def __init__(self, checkpoint: str, config_name: str, config: Any, seed: int, batch_size: int):
        self.checkpoint, self.config_name, self.seed = checkpoint, config_name, seed
        self.config = configs.update_config(config, {"model": SeededMusicVAE(config.model, seed)})
        self.trained_model = _load(checkpoint, config_name, self.config, batch_size)
        self._converter = self.trained_model._config.data_converter
        self._random = np.random.RandomState(seed)

    def sample(
        self,
        num_outputs: int = 1,
        bars: int = 4,
        temperature: float = 0.5,
        tempo_qpm: float = 120.0,
    ) -> list[Any]:
        """Draws grooves: `z` from the prior, decoded to `bars` bars of 16 steps.

        Args:
          num_outputs: How many grooves, 1 or more.
          bars: Their length in bars of 4/4, 1 or more.
          temperature: Over 0; the hits' logits are divided by it, so that near 0 a drum is hit
            where that is likelier than not, and at 1 as often as the model learned.
          tempo_qpm: Quarters a minute to play them at.

        Returns:
          NoteSequences. A second call goes on drawing, so it gives other grooves.

        Raises:
          UsageError: a value is out of range, or the model needs hits to follow.
        """
        if num_outputs < 1:
            raise UsageError(f"the number of outputs must be 1 or more, got {num_outputs}")
        z = self._random.randn(num_outputs, self.config.hparams.z_size).astype(np.float32)
        return self.decode(z, bars, temperature, tempo_qpm)

    def decode(
        self, z: np.ndarray, bars: int = 4, temperature: float = 0.5, tempo_qpm: float = 120.0
    ) -> list[Any]:
        """Decodes latent vectors `z` [n, z_size] to n NoteSequences; see `sample`."""
        tensors = self.decode_to_tensors(z, bars, temperature)
        sequences = self._converter.from_tensors(tensors)
        return [_at_tempo(sequence, bars, tempo_qpm) for sequence in sequences]

    def decode_to_tensors(self, z: np.ndarray, bars: int, temperature: float) -> np.ndarray:
        """Decodes `z` [n, z_size] to float32 [n, 16 * bars, 27]: hits, velocities, offsets."""
        if bars < 1:
            raise UsageError(f"the number of bars must be 1 or more, got {bars}")
        if not 0 < temperature < math.inf:
            raise UsageError(
                f"temperature must be over 0, got {temperature:g}; for the likeliest hits take 0.01"
            )
        if self._converter.control_depth:
            raise UsageError(
                f"{self.config_name} plays given hits and cannot draw a groove of its own; "
                "take a checkpoint of another config"
            )
        length = bars * self._converter._steps_per_bar
        tensors = np.array(self.trained_model.decode_to_tensors(z, length, temperature))
        if not np.isfinite(tensors).all():
            raise GroovaeError(
                f"{self.checkpoint}: the model gives values that are not numbers; "
                "its training has failed, name an older checkpoint"
            )
        return tensors


def load_model(
    checkpoint: str | os.PathLike[str] = ".train",
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    seed: int | None = None,
    batch_size: int = 1,
) -> GrooveModel:
    """Loads a checkpoint with the configuration it was trained with.

    Args:
      checkpoint: A training folder, whose newest checkpoint is taken, or a checkpoint's prefix.
      config: A key of `CONFIG_MAP`; needed only where `config.json` does not lie beside it.
      hparams: `name=value,...`; likewise.
      seed: For `z` and the hits; the same seed, batch size and calls give the same grooves. Drawn
        where it is None.
      batch_size: How many grooves to decode at a time.

    Raises:
      GroovaeError: no checkpoint there, or it is damaged or another model's.
      UsageError: unknown config or hparams, or they contradict `config.json`.
    """
    if seed is not None and not 0 <= seed < 2**31:
        raise UsageError(f"the seed must lie between 0 and 2**31 - 1, got {seed}")
    prefix = need_checkpoint(checkpoint)
    name, full_config = configs.config_of(Path(prefix).parent, config, hparams)
    seed = secrets.randbelow(2**31) if seed is None else seed
    return GrooveModel(prefix, name, full_config, seed, min(max(1, batch_size), MAX_BATCH_SIZE))


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


def _at_tempo(sequence: Any, bars: int, tempo_qpm: float) -> Any:
    """The sequence at `tempo_qpm`, in 4/4 and `bars` bars long; Magenta puts 120 qpm on all."""
    stretched = note_seq.NoteSequence()
    stretched.CopyFrom(sequence)
    stretch = sequence.tempos[0].qpm / tempo_qpm
    for note in stretched.notes:
        note.start_time *= stretch
        note.end_time *= stretch
    stretched.tempos[0].qpm = tempo_qpm
    stretched.time_signatures.add(numerator=4, denominator=4)
    stretched.total_time = bars * 4 * 60 / tempo_qpm
    return stretched
