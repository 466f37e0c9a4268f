"""Flags that several commands share, with one name and one help text each."""

import dataclasses
import math
from typing import Any, TypeVar

from absl import flags

from groovae.errors import UsageError, shorten_value
from groovae.music.drums import read_drum_map

Options = TypeVar("Options")
OWN_CONFIG = "one of your own as FILE.py:NAME, a Magenta Config in a Python file, which is run"


def check_arguments(positional: list[str], *names: str) -> list[str]:
    """Check that there is one positional argument for each name, and return them."""
    if len(positional) < len(names):
        missing = " and ".join(names[len(positional) :])
        raise UsageError(f"{missing} missing; see --help")
    if len(positional) > len(names):
        unexpected = shorten_value(positional[len(names)])
        raise UsageError(f"unexpected argument {unexpected}; a flag begins with --")
    if "" in positional:
        raise UsageError(f"{names[positional.index('')]} is empty; see --help")
    return positional


def check_files(positional: list[str], name: str = "IN.mid") -> list[str]:
    """Check that there are one or more positional arguments, and return them."""
    check_arguments(positional[:1], name)
    return check_arguments(positional, *[name] * len(positional))


def from_flags(options: type[Options], values: Any) -> Options:
    """Return a dataclass whose fields have the values of the flags of the same names."""
    assert dataclasses.is_dataclass(options)
    return options(**{one.name: values[one.name].value for one in dataclasses.fields(options)})


# Models


def define_checkpoint(
    values: flags.FlagValues, default: str | None = ".train", more_help: str = ""
) -> None:
    flags.DEFINE_string(
        "checkpoint",
        default,
        "A training folder, the prefix of a checkpoint such as .train/model.ckpt-400, or a .tar"
        f"{more_help}.",
        values,
    )
    flags.DEFINE_string(
        "config", None, f"Config of a checkpoint that has no config.json; {OWN_CONFIG}.", values
    )
    define_hparams(values, "Hparams of a checkpoint that has no config.json: name=value,...")


def define_model(values: flags.FlagValues, more_help: str = "") -> None:
    """Define --checkpoint of a command that also takes exports, and by default a bundled model."""
    define_checkpoint(
        values,
        None,
        "; or a folder written by `groovae export --format=onnx`, or the name of a bundled model, "
        "which need no TensorFlow. By default .train, or if nothing is trained there a bundled "
        f"model{more_help}",
    )


def define_config(
    values: flags.FlagValues, help_text: str, default: str | None = "groovae_4bar"
) -> None:
    """Define --config; the command line has run the file of a FILE.py:NAME and holds NAME then."""
    flags.DEFINE_string("config", default, f"{help_text}; {OWN_CONFIG}.", values)


def define_hparams(values: flags.FlagValues, help_text: str) -> None:
    """Define --hparams, which may be repeated: a later one overrides that of a flagfile."""
    flags.DEFINE_multi_string("hparams", [], help_text, values)


# Data


def define_examples(values: flags.FlagValues, default: str, verb: str) -> None:
    """Define which records to read; `verb` completes the help, as in "to train on"."""
    flags.DEFINE_string(
        "examples_path", default, "A TFRecord of NoteSequences, or a quoted glob of them.", values
    )
    flags.DEFINE_string(
        "tfds_name",
        None,
        f"A dataset of TensorFlow Datasets to {verb} on instead of --examples_path, such as "
        "groove/4bar-midionly.",
        values,
    )
    flags.DEFINE_string(
        "tfds_data_dir",
        None,
        "Folder of TensorFlow Datasets; by default ~/tensorflow_datasets.",
        values,
    )


def define_split(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "split", "validation", ["train", "validation", "test"], "Split of --tfds_name.", values
    )


def check_one_dataset(values: Any) -> None:
    if values.tfds_name and values["examples_path"].present:
        raise UsageError("--tfds_name and --examples_path are mutually exclusive")


def define_layout(values: flags.FlagValues) -> None:
    """Define how notes are cut into windows."""
    flags.DEFINE_integer(
        "hop_bars",
        None,
        "Bars from the start of one window to the next; 1 gives the most windows. By default "
        "windows do not overlap.",
        1,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "unmapped_pitches",
        "drop",
        ["drop", "nearest", "error"],
        "Drum notes whose pitch has no drum class, such as claps: drop them, map them to the "
        "closest class, or stop with an error.",
        values,
    )
    define_all_notes(values)
    flags.DEFINE_enum(
        "tempo_changes",
        "skip",
        ["skip", "follow"],
        "Music whose tempo changes: skip it, as Magenta does, or follow the tempo map and cut "
        "windows in beats.",
        values,
    )
    flags.DEFINE_string(
        "drum_map",
        None,
        "MIDI pitches of the drum classes: gm, roland, or a JSON file such as "
        '{"kick": 36, "snare": [38, 40]}; by default those of the config.',
        values,
    )


def layout_options(values: Any) -> dict[str, Any]:
    """Return the flags of `define_layout` as arguments of `adapt_layout`."""
    return {
        "hop_bars": values.hop_bars,
        "unmapped_pitches": values.unmapped_pitches,
        "all_notes": values.all_notes,
        "tempo_changes": values.tempo_changes,
        "drum_map": read_drum_map(values.drum_map) if values.drum_map else None,
    }


def define_meter(values: flags.FlagValues) -> None:
    flags.DEFINE_string(
        "meter",
        None,
        "Meter of the music to use, such as 3/4, 6/8 or 5/4; by default that of the config, 4/4.",
        values,
    )


def define_drums(values: flags.FlagValues, name: str = "drums") -> None:
    flags.DEFINE_string(
        name,
        "auto",
        "Which notes of a MIDI file are drums. auto: those of channel 10; if it is empty, the "
        "tracks named like drums, or the only track that looks like a drum kit. Or channel:N, or "
        "track:NAME.",
        values,
    )


def define_all_notes(values: flags.FlagValues) -> None:
    flags.DEFINE_bool(
        "all_notes",
        False,
        "Read the notes of all channels as drums, not only those of the drum channel.",
        values,
    )


def parse_bars(text: str) -> tuple[int, int]:
    """Return the first and the last bar of a flag such as `3-4` or `8`.

    >>> parse_bars("3-4"), parse_bars("8")
    ((3, 4), (8, 8))
    """
    numbers = text.split("-")
    if len(numbers) > 2 or not all(number.isdecimal() for number in numbers):
        raise UsageError(f"--bars must be a bar or a range such as 3-4, got {shorten_value(text)}")
    return int(numbers[0]), int(numbers[-1])


# Decoding


def define_seed(values: flags.FlagValues, default: int | None, help_text: str) -> None:
    flags.DEFINE_integer("seed", default, help_text, 0, 2**31 - 1, flag_values=values)


def define_temperature(values: flags.FlagValues, default: float, help_text: str) -> None:
    flags.DEFINE_float("temperature", default, help_text, flag_values=values)
    flags.register_validator(
        "temperature",
        lambda temperature: 0 <= temperature < math.inf,
        "must be finite and 0 or more",
        values,
    )


def define_drift(values: flags.FlagValues) -> None:
    flags.DEFINE_float(
        "drift",
        0.5,
        "How much a segment differs from the one before, from 0, the same latent vector, to 1, an "
        "independent one.",
        0,
        1,
        flag_values=values,
    )


def define_prior(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "prior",
        None,
        ["fitted", "standard"],
        "What z is drawn from. fitted: the prior fitted to the model's training windows; standard: "
        "N(0, I), as in Magenta. By default the fitted one if the model has one.",
        values,
    )


def define_feel(values: flags.FlagValues) -> None:
    flags.DEFINE_enum(
        "feel",
        None,
        ["mean", "drawn"],
        "Velocity and timing of the hits. mean: as the model expects them; drawn: with deviations "
        "as a drummer's around them, if a feel was fitted to the model (see groovae fit_feel). By "
        "default drawn for new performances, and mean for reconstruct, interpolate and vary.",
        values,
    )


def define_expectation(values: flags.FlagValues) -> None:
    """Define --expectation, and --as_hits for its value `hit`; the later of the two is used."""
    flags.DEFINE_enum(
        "expectation",
        "hit",
        ["hit", "all"],
        "Velocity and timing of a hit. hit: their expectation given the hit; all: their "
        "expectation over hit and no hit, as in Magenta, which makes uncertain hits softer and "
        "closer to the grid.",
        values,
    )
    alias = _Alias("as_hits", values["expectation"], "hit", "all")
    flags.DEFINE_flag(alias, values)


def define_first_hit(values: flags.FlagValues) -> None:
    """Define --first_hit, and --pickup for its value `pickup`; the later of the two is used."""
    flags.DEFINE_enum(
        "first_hit",
        "clamp",
        ["clamp", "wrap", "shift", "pickup"],
        "What to do with hits before the beat that the groove begins with: move them to it "
        "(clamp), to the end of the loop (wrap), move the whole groove later (shift), or begin "
        "with an empty bar (pickup).",
        flag_values=values,
    )
    flags.DEFINE_flag(_Alias("pickup", values["first_hit"], "pickup", "clamp"), values)


class _Alias(flags.BooleanFlag):
    """The former name of a value of another flag."""

    def __init__(self, name: str, other: flags.Flag, value: str, off: str) -> None:
        self._other, self._value_of_other, self._off = other, value, off
        super().__init__(name, other.value == value, f"The same as --{other.name}={value}.")

    def parse(self, argument: Any) -> None:
        super().parse(argument)
        self._other.value = self._value_of_other if self.value else self._off
        self._other.present += 1
