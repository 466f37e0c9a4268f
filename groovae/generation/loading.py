"""Load a trained model: a checkpoint, an exported model, or the bundled one."""

import dataclasses
import os
import secrets
from collections.abc import Sequence

from groovae.config.layout import with_drum_map
from groovae.errors import check_whole
from groovae.generation.bundled import TRAIN_DIR, default_checkpoint
from groovae.generation.groove_model import GrooveModel
from groovae.generation.maturity import describe_immaturity, describe_unfinished
from groovae.generation.networks import load_network
from groovae.model.network import Network
from groovae.music.drums import DRUM_MAPS, GM, DrumMap, read_drum_map
from groovae.system.log import Log, log_to_stderr

MAX_BATCH_SIZE = 512


def load_model(
    checkpoint: str | os.PathLike[str] | None = None,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    seed: int | None = None,
    batch_size: int = 1,
    drum_map: str | None = None,
    all_notes: bool = False,
    task: str | None = None,
    log: Log = log_to_stderr,
    as_hits: bool = True,
    feel: str | None = None,
) -> GrooveModel:
    """Load a checkpoint, with the config it was trained with, or an exported model.

    Args:
      checkpoint: A training folder, for its latest checkpoint; a checkpoint's prefix; a `.tar`; or
        the folder of an ONNX export, which needs no TensorFlow. By default `.train`, or the bundled
        model if there is no model in `.train`.
      config: A key of `CONFIG_MAP`; only needed if there is no `config.json` beside the checkpoint
        and its config is not that of `task`.
      hparams: `name=value,...`; likewise.
      seed: The seed of all random draws, by default a random one.
      batch_size: How many segments to decode at a time, up to 512.
      drum_map: The MIDI pitches of drums: `gm`, `roland` or a file; see `drums.read_drum_map`. By
        default the drum map that the model was trained with, if it was given one, or else `gm`.
      all_notes: Treat the notes of all channels as drums.
      task: The method that will be called; a model that does not support it is refused.
      log: Called with a line on a model that is hardly trained, on notes that are dropped, and on
        segments that stay empty; by default it goes to stderr.
      as_hits: See `GrooveModel`; likewise `feel`.

    Raises:
      GroovaeError: there is no checkpoint, it is damaged or of another model, or the package that
        it needs, TensorFlow or onnxruntime, is not installed.
      UsageError: config, hparams or drum map are unknown or contradict `config.json`, or the model
        is for another task.
    """
    if seed is None:
        seed = secrets.randbelow(2**31)
    check_whole("seed", seed, 0)
    pitches = read_drum_map(drum_map) if drum_map else None
    is_default = checkpoint is None
    if checkpoint is None:
        checkpoint = default_checkpoint(task, log)
    check_whole("batch_size", batch_size, 1)
    batch_size = min(batch_size, MAX_BATCH_SIZE)
    network = load_network(checkpoint, config, hparams, task, batch_size)
    warnings = [describe_immaturity(network.checkpoint)]
    if is_default and checkpoint == TRAIN_DIR:
        warnings.append(describe_unfinished(TRAIN_DIR, network.checkpoint))
    for line in filter(None, warnings):
        log(line)
    layout = dataclasses.replace(
        with_drum_map(network.layout, pitches or network.drum_map or _played(network)),
        all_notes=all_notes,
        max_note_dropout_probability=None,
    )
    return GrooveModel(network, layout, seed, log, as_hits, feel)


def _played(network: Network) -> DrumMap:
    """Return the pitches to play a model with: General MIDI's in place of Roland's."""
    own = network.layout.pitch_classes
    return GM if set(map(frozenset, own)) == set(map(frozenset, DRUM_MAPS["roland"])) else own
