"""What the description of a model may hold: `config.json`, of a training folder or an export.

    check_description(contents)

Every reader of a `config.json` checks it here, and `--hparams` likewise, since the file may have
been edited, damaged or forged. The tables give the type and range of each value; keys that are in
none of them, such as those of later versions, are ignored.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from groovae.config.layout import (
    MAX_STEPS,
    TEMPO_CHANGES,
    UNMAPPED_PITCHES,
    Layout,
    layout_of_converter,
    parse_meter,
)
from groovae.errors import UsageError, shorten_value
from groovae.music.drums import MAX_DRUMS, OPEN_HIHAT, check_drum_map

MAX_SIZE = 1 << 16
MAX_LAYERS = 64
MAX_CONTEXT_STEPS = 64
MAX_FLOAT = 3.4e38  # of float32
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,99}", re.ASCII)
RNNS = ("layerwise", "magenta")
PRECISIONS = ("float32", "bfloat16")  # of matrix products


class Rule(NamedTuple):
    """The values that are valid, in words and as a function."""

    words: str
    holds: Callable[[Any], bool]


def whole(least: int, most: int) -> Rule:
    return Rule(
        f"a whole number from {least:,} to {most:,}",
        lambda value: type(value) is int and least <= value <= most,
    )


def number(least: float, most: float) -> Rule:
    return Rule(
        f"a number from {least:g} to {most:g}",
        lambda value: type(value) in (int, float) and least <= value <= most,
    )


def positive(most: float) -> Rule:
    return Rule(
        f"a number over 0, at most {most:g}",
        lambda value: type(value) in (int, float) and 0 < value <= most,
    )


def one_of(*names: str) -> Rule:
    return Rule(
        f"one of {', '.join(names)}",
        lambda value: isinstance(value, str) and value in names,
    )


def optional(rule: Rule) -> Rule:
    return Rule(f"{rule.words}, or null", lambda value: value is None or rule.holds(value))


def items(rule: Rule, least: int, most: int) -> Rule:
    length = f"{least} to {most}" if least < most else f"{most}"
    return Rule(
        f"a list of {length}, each {rule.words}",
        lambda value: (
            isinstance(value, list | tuple)
            and least <= len(value) <= most
            and all(map(rule.holds, value))
        ),
    )


FLAG = Rule("true or false", lambda value: type(value) is bool)
OBJECT = Rule("an object", lambda value: isinstance(value, dict))
TEXT = Rule("text", lambda value: isinstance(value, str) and len(value) < 1 << 16)
FILES = Rule(
    "an object whose keys are names of files",
    lambda value: (
        isinstance(value, dict)
        and not any(name in ("", "..") or set(name) & {"/", "\\", "\0"} for name in value)
    ),
)
NAME = Rule(
    "the name of a config", lambda value: isinstance(value, str) and bool(_NAME.fullmatch(value))
)
PITCH_CLASSES = items(items(whole(0, 127), 1, 128), 1, MAX_DRUMS)
DRUMS = items(whole(0, MAX_DRUMS - 1), 0, MAX_DRUMS)
SIZES = items(whole(1, MAX_SIZE), 1, MAX_LAYERS)

HPARAMS = {
    "batch_size": whole(1, 1 << 20),
    "z_size": whole(1, MAX_SIZE),
    "max_seq_len": whole(1, MAX_STEPS),
    "enc_rnn_size": SIZES,
    "dec_rnn_size": SIZES,
    "control_preprocessing_rnn_size": SIZES,
    "free_bits": number(0, MAX_FLOAT),
    "max_beta": number(0, MAX_FLOAT),
    "beta_rate": number(0, 1),
    "grad_clip": positive(MAX_FLOAT),
    "grad_norm_clip_to_zero": whole(0, 2**31 - 1),
    "clip_mode": one_of("global_norm", "value"),
    "learning_rate": positive(MAX_FLOAT),
    "min_learning_rate": number(0, MAX_FLOAT),
    "decay_rate": positive(1),
    "dropout_keep_prob": positive(1),  # the share that is kept
    "sampling_schedule": one_of("constant", "exponential", "inverse_sigmoid"),
    "sampling_rate": number(0, MAX_FLOAT),
    "conditional": FLAG,
    "use_cudnn": FLAG,
    "residual_encoder": FLAG,
    "residual_decoder": FLAG,
    "feel_loss": one_of("squared", "absolute"),
}
OWN_HPARAMS = {"feel_loss": "squared"}  # not Magenta's, with the values that train as Magenta does

DESCRIPTION = {
    "config": NAME,
    "hparams": OBJECT,
    "data_converter": OBJECT,
    "meter": TEXT,
    # Of a training only.
    "seed": optional(whole(0, 2**32 - 1)),
    "num_steps": optional(whole(0, 2**63 - 1)),
    "hop_bars": optional(whole(1, MAX_STEPS)),
    "unmapped_pitches": one_of(*UNMAPPED_PITCHES),
    "all_notes": FLAG,
    "tempo_changes": one_of(*TEMPO_CHANGES),
    "augment": TEXT,
    "init_checkpoint": optional(TEXT),
    "versions": OBJECT,
    "rnn": one_of(*RNNS),
    "matmul_precision": one_of(*PRECISIONS),
    "windows": optional(OBJECT),
    # Of an export only.
    "step": whole(0, 2**63 - 1),
    "dtype": one_of("float32", "float16", "int8"),
    "layout": OBJECT,
    "files": FILES,
}

# The keys of a magenta.js export that are not magenta.js's own.
WEB_EXPORT = {
    "config": NAME,
    "step": whole(0, 2**63 - 1),
    "hparams": OBJECT,
    "addInstruments": DRUMS,
    "files": FILES,
}

LAYOUT = {
    "split_bars": whole(1, MAX_STEPS),
    "hop_steps": whole(1, MAX_STEPS),
    "pitch_classes": PITCH_CLASSES,
    "steps_per_quarter": whole(1, MAX_STEPS),
    "quarters_per_bar": whole(1, MAX_STEPS),
    "humanize": FLAG,
    "tapify": FLAG,
    "fixed_velocities": FLAG,
    "add_instruments": DRUMS,
    "hits_as_controls": FLAG,
    "inputs_as_controls": FLAG,
    "control_context_steps": whole(0, MAX_CONTEXT_STEPS),
    "tempo_as_control": FLAG,
    "max_note_dropout_probability": optional(number(0, 1)),
    "unmapped_pitches": one_of(*UNMAPPED_PITCHES),
    "all_notes": FLAG,
    "tempo_changes": one_of(*TEMPO_CHANGES),
    "meter": items(whole(1, MAX_STEPS), 2, 2),
}

# The arguments of a GrooveConverter. Magenta has others as well, which no decoder here supports.
CONVERTER = {
    "split_bars": whole(1, MAX_STEPS),
    "steps_per_quarter": whole(4, 4),
    "quarters_per_bar": whole(1, 16),
    "max_tensors_per_notesequence": optional(whole(0, 2**31 - 1)),
    "pitch_classes": PITCH_CLASSES,
    "inference_pitch_classes": PITCH_CLASSES,
    "humanize": FLAG,
    "tapify": FLAG,
    "add_instruments": optional(DRUMS),
    "num_velocity_bins": optional(whole(0, 0)),
    "num_offset_bins": optional(whole(0, 0)),
    "split_instruments": Rule("false", lambda value: value is False),
    "hop_size": optional(whole(1, MAX_STEPS)),
    "hits_as_controls": FLAG,
    "fixed_velocities": FLAG,
    "max_note_dropout_probability": optional(number(0, 1)),
    "inputs_as_controls": FLAG,
    "control_context_steps": whole(0, MAX_CONTEXT_STEPS),
    "tempo_as_control": FLAG,
}
# Which Magenta's converter lacks.
OF_CONTEXT = ("inputs_as_controls", "control_context_steps", "tempo_as_control")


def check_values(values: Mapping[str, Any], rules: Mapping[str, Rule], kind: str = "") -> None:
    """Check the values that are there.

    Raises:
      UsageError: one breaks its rule.
    """
    for name, rule in rules.items():
        if name in values and not rule.holds(values[name]):
            got = shorten_value(values[name])
            raise UsageError(f"{kind}{name} must be {rule.words}, got {got}")


def check_hparams(hparams: Mapping[str, Any]) -> None:
    """Check the hparams of a model, of which all of Magenta's must be there.

    Raises:
      UsageError: one is missing, of another type, out of range, or contradicts another.
    """
    if missing := HPARAMS.keys() - OWN_HPARAMS.keys() - hparams.keys():
        raise UsageError(f"hparam {min(missing)} is missing")
    check_values(hparams, HPARAMS, "hparam ")
    ranges = {
        "constant": number(0, 1),
        "exponential": Rule("a number between 0 and 1", lambda rate: 0 < rate < 1),
        "inverse_sigmoid": number(1, MAX_FLOAT),
    }
    schedule = hparams["sampling_schedule"]
    check_values(hparams, {"sampling_rate": ranges[schedule]}, f"with {schedule}, hparam ")


def check_description(contents: Any) -> None:
    """Check the contents of a `config.json`, apart from `layout`.

    Raises:
      ValueError: they lack a key of every model, or a value is of another type or out of range.
    """
    if not isinstance(contents, dict):
        raise UsageError("not a JSON object")
    for key in ("config", "hparams", "data_converter"):
        if key not in contents:
            raise UsageError(f"{key} is missing")
    check_values(contents, DESCRIPTION)
    check_values(contents["hparams"], HPARAMS, "hparam ")
    parse_meter(contents.get("meter", "4/4"))  # earlier versions trained on 4/4 only
    if contents.get("drum_map") is not None:
        check_drum_map(contents["drum_map"])


def check_converter(arguments: Mapping[str, Any], meter: str = "4/4") -> Layout:
    """Return the Layout of a GrooveConverter with these arguments, as `config.json` has them.

    Raises:
      UsageError: an argument is missing, unknown, of another type, out of range, or contradicts
        another.
    """
    if unknown := arguments.keys() - CONVERTER.keys():
        raise UsageError(f"the converter has no argument {shorten_value(min(unknown))}")
    if missing := CONVERTER.keys() - arguments.keys() - set(OF_CONTEXT):
        raise UsageError(f"the converter's {min(missing)} is missing")
    check_values(arguments, CONVERTER, "the converter's ")
    if len(arguments["inference_pitch_classes"]) != len(arguments["pitch_classes"]):
        raise UsageError("the converter must have as many inference_pitch_classes as pitch_classes")
    return _check_consistent(layout_of_converter(arguments, parse_meter(meter)), "the converter's")


def check_web_description(about: Mapping[str, Any]) -> None:
    """Check what the `config.json` of a magenta.js export holds as `groovae`.

    Raises:
      UsageError: as `check_description`.
    """
    if missing := WEB_EXPORT.keys() - about.keys():
        raise UsageError(f"{min(missing)} is missing")
    check_values(about, WEB_EXPORT)
    check_hparams(about["hparams"])


def check_layout(values: Mapping[str, Any]) -> Layout:
    """Return the Layout of the export whose `config.json` has these values as `layout`.

    Raises:
      UsageError: a value is missing, of another type, out of range, or contradicts another.
    """
    for name in ("split_bars", "hop_steps", "pitch_classes", "add_instruments"):
        if name not in values:
            raise UsageError(f"the layout has no {name}")
    check_values(values, LAYOUT, "the layout's ")
    known = {name: _as_tuples(values[name]) for name in LAYOUT if name in values}
    return _check_consistent(Layout(**known), "the layout's")


def _check_consistent(layout: Layout, whose: str) -> Layout:
    if layout.window_steps > MAX_STEPS:
        raise UsageError(f"{whose} windows must have {MAX_STEPS:,} steps at most")
    if 4 * layout.meter[0] != layout.quarters_per_bar * layout.meter[1]:
        raise UsageError(f"{whose} meter must have as many quarters as a bar")
    pitches = [pitch for drum in layout.pitch_classes for pitch in drum]
    if len(set(pitches)) < len(pitches):
        raise UsageError(f"{whose} pitch_classes must have each pitch once")
    if max(layout.add_instruments, default=0) >= layout.num_drums:
        raise UsageError(f"{whose} add_instruments must be below its {layout.num_drums} drums")
    if layout.tapify and layout.num_drums <= OPEN_HIHAT:
        raise UsageError(f"{whose} taps need {OPEN_HIHAT + 1} drums or more")
    if layout.tempo_as_control and not layout.has_controls:  # such a model could not sample
        raise UsageError(f"{whose} tempo_as_control needs hits_as_controls or inputs_as_controls")
    return layout


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list) else value
