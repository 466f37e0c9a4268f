"""Flags that several commands share."""

import math
from typing import Any

from absl import flags

from groovae.errors import UsageError


def need_arguments(positional: list[str], *names: str) -> list[str]:
    """Checks that there is one positional argument for each name, and returns them."""
    if len(positional) < len(names):
        missing = " and ".join(names[len(positional) :])
        raise UsageError(f"{missing} missing; see --help")
    if len(positional) > len(names):
        raise UsageError(f"unexpected argument {positional[len(names)]!r}; a flag begins with --")
    return positional


def define_hparams(values: flags.FlagValues, help_text: str) -> None:
    """`--hparams`, which may come several times: a flagfile's and then one's own, which wins."""
    flags.DEFINE_multi_string("hparams", [], help_text, flag_values=values)


def define_config(values: flags.FlagValues, help_text: str) -> None:
    flags.DEFINE_string("config", "groovae_4bar", help_text, flag_values=values)


def define_checkpoint(
    values: flags.FlagValues, default: str | None = ".train", also: str = ""
) -> None:
    """Which trained model: the same flags wherever one is read; `also` says what else is taken."""
    flags.DEFINE_string(
        "checkpoint",
        default,
        "A training folder, the prefix of a checkpoint, such as .train/model.ckpt-400, or a .tar"
        f"{also}.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "config", None, "Config of a checkpoint without a config.json.", flag_values=values
    )
    define_hparams(values, "Its hparams, name=value,...; likewise.")


def define_examples(values: flags.FlagValues, default: str, purpose: str) -> None:
    """Which records: the same flags wherever a model meets data."""
    flags.DEFINE_string(
        "examples_path",
        default,
        "A TFRecord of NoteSequences, or a quoted glob of them.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tfds_name",
        None,
        f"A TensorFlow Datasets set to {purpose} on instead of --examples_path, such as "
        "groove/4bar-midionly.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tfds_data_dir",
        None,
        "Where TensorFlow Datasets keeps its sets; ~/tensorflow_datasets by default.",
        flag_values=values,
    )


def define_split(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "split",
        "validation",
        ["train", "validation", "test"],
        "Which split of --tfds_name.",
        flag_values=values,
    )


def check_one_set(values: Any) -> None:
    if values.tfds_name and values["examples_path"].present:
        raise UsageError("--tfds_name and --examples_path name two sets; give one of them")


def define_layout(values: flags.FlagValues) -> None:
    """How notes become windows: the same flags wherever MIDI or records are read."""
    flags.DEFINE_integer(
        "hop_bars",
        None,
        "Bars from the start of a window to the next; 1 gives most data. By default windows do "
        "not overlap.",
        lower_bound=1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "unmapped_pitches",
        "drop",
        ["drop", "nearest", "error"],
        "Drum notes that the model has no class for, such as claps: leave them out, move them to "
        "the class that a drummer would use instead, or stop.",
        flag_values=values,
    )
    define_all_notes(values)


def define_all_notes(values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "all_notes",
        False,
        "Take the notes of all tracks for drums, not only those of the drum channel.",
        flag_values=values,
    )


def define_seed(values: flags.FlagValues, default: int | None, help_text: str) -> None:
    flags.DEFINE_integer(
        "seed", default, help_text, lower_bound=0, upper_bound=2**31 - 1, flag_values=values
    )


def define_temperature(values: flags.FlagValues, default: float, help_text: str) -> None:
    flags.DEFINE_float("temperature", default, help_text, flag_values=values)
    flags.register_validator(
        "temperature",
        lambda temperature: 0 <= temperature < math.inf,
        "must be 0 or more, where 0 leaves nothing to chance",
        values,
    )


def define_as_hits(values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "as_hits",
        False,
        "Velocities and timing as those of a hit; as the original does, they are its mean over hit "
        "and no hit, so that what the model is unsure of is soft and stiff.",
        flag_values=values,
    )
