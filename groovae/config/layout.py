"""Layout: how windows are cut from a groove, and which parts of them the encoder gets."""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from typing import Any

from groovae.errors import UsageError, shorten_value
from groovae.music.drums import (
    CLASS_NAMES,
    CLOSED_HIHAT,
    DRUM_MAPS,
    KICK,
    LOW_TOM,
    NEAREST,
    OPEN_HIHAT,
    DrumMap,
    classes,
)

# Drums of General MIDI that Roland's e-drums do not send. Magenta raises a KeyError for them.
GM_KIT = {35: KICK, 41: LOW_TOM}
UNMAPPED_PITCHES = ("drop", "nearest", "error")
TEMPO_CHANGES = ("skip", "follow")
MAX_STEPS = 1 << 16  # in a window
# The tempos that are controls, 36 an octave, from 42 to 339 qpm.
TEMPO_BANDS_QPM = tuple(120 * 2 ** (number / 36) for number in range(-54, 55))


@dataclasses.dataclass(frozen=True)
class Layout:
    """The options of a GrooveConverter, as plain values.

    Attributes:
      split_bars: Bars in a window.
      hop_steps: Steps from the start of one window to the next.
      pitch_classes: The pitches of each drum class.
      steps_per_quarter: Grid steps in a quarter note.
      quarters_per_bar: Quarter notes in a bar.
      humanize: Remove velocities and offsets from the inputs.
      tapify: Reduce each step of the inputs to its loudest note, on one drum.
      fixed_velocities: Remove velocities from the inputs.
      add_instruments: Drum classes to remove from the inputs.
      hits_as_controls: Give the hits to the decoder as controls.
      inputs_as_controls: Give the encoder's inputs to the decoder as controls.
      control_context_steps: With each step's controls, give those of N steps before and N after.
      tempo_as_control: Give the tempo to encoder and decoder, as a control for each of
        TEMPO_BANDS_QPM.
      max_note_dropout_probability: Upper bound of the probability with which notes are removed
        from the inputs at random, soft notes more often; None removes none and draws no random
        number.
      unmapped_pitches: What to do with drum notes of a pitch without a class: `drop` them, move
        them to the `nearest` class (see groovae/music/drums.py), or raise an `error`.
      all_notes: Use notes of all tracks as drums, not only notes flagged is_drum.
      tempo_changes: What to do with sequences whose tempo changes: `skip` them, as Magenta does, or
        `follow` the tempo map, which cuts windows in beats.
      meter: Numerator and denominator of the sequences to use, and of generated grooves.
    """

    split_bars: int
    hop_steps: int
    pitch_classes: tuple[tuple[int, ...], ...] = DRUM_MAPS["roland"]
    steps_per_quarter: int = 4
    quarters_per_bar: int = 4
    humanize: bool = False
    tapify: bool = False
    fixed_velocities: bool = False
    add_instruments: tuple[int, ...] = ()
    hits_as_controls: bool = False
    inputs_as_controls: bool = False
    control_context_steps: int = 0
    tempo_as_control: bool = False
    max_note_dropout_probability: float | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False
    tempo_changes: str = "skip"
    meter: tuple[int, int] = (4, 4)

    @property
    def steps_per_bar(self) -> int:
        return self.steps_per_quarter * self.quarters_per_bar

    @property
    def window_steps(self) -> int:
        return self.steps_per_bar * self.split_bars

    @property
    def num_drums(self) -> int:
        return len(self.pitch_classes)

    @property
    def depth(self) -> int:
        """Size of a step: hit, velocity and offset of each drum."""
        return 3 * self.num_drums

    @property
    def control_depth(self) -> int:
        of_steps = len(self.control_columns) * (1 + 2 * self.control_context_steps)
        return of_steps + self.tempo_as_control * len(TEMPO_BANDS_QPM)

    @property
    def control_columns(self) -> list[int]:
        """The columns of a step that are controls: of the inputs, those that may not be 0."""
        drums = range(self.num_drums)
        if not self.inputs_as_controls:
            return list(drums) if self.hits_as_controls else []
        if self.tapify:
            drums = range(OPEN_HIHAT, OPEN_HIHAT + 1)
        kept = [drum for drum in drums if drum not in self.add_instruments]
        parts = [True, not (self.humanize or self.fixed_velocities), not self.humanize]
        return [
            self.num_drums * part + drum
            for part, is_there in enumerate(parts)
            if is_there
            for drum in kept
        ]

    @property
    def has_controls(self) -> bool:
        """Whether the decoder is given hits, so that it cannot play without them."""
        return self.hits_as_controls or self.inputs_as_controls

    @functools.cached_property
    def class_of(self) -> dict[int, int]:
        """Drum class by pitch."""
        own = classes(self.pitch_classes)
        return self._own_classes(GM_KIT, own) | own

    @functools.cached_property
    def nearest_class_of(self) -> dict[int, int]:
        """Drum class by pitch without a class of its own; empty unless they go to the nearest."""
        if self.unmapped_pitches != "nearest":
            return {}
        nearest = self._own_classes(NEAREST, classes(self.pitch_classes))
        return {pitch: drum for pitch, drum in nearest.items() if pitch not in self.class_of}

    def _own_classes(self, drums: dict[int, int], own: dict[int, int]) -> dict[int, int]:
        """Return the own class for each pitch, given one of the nine classes for each.

        If there are other than nine, it is the class that has a pitch of the one of the nine.
        """
        if self.num_drums == len(CLASS_NAMES):
            return drums
        own_of = [
            next((own[pitch] for pitch in pitches if pitch in own), None)
            for pitches in DRUM_MAPS["roland"]
        ]
        found = {pitch: own_of[drum] for pitch, drum in drums.items()}
        return {pitch: drum for pitch, drum in found.items() if drum is not None}

    def report_fields(self) -> dict[str, Any]:
        """Return the options, besides the config, that affect the number of windows."""
        return {
            "split_bars": self.split_bars,
            "hop_bars": self.hop_steps / self.steps_per_bar,
            "unmapped_pitches": self.unmapped_pitches,
            "all_notes": self.all_notes,
            "tempo_changes": self.tempo_changes,
            "meter": format_meter(self.meter),
        }

    def grid_options(self) -> dict[str, Any]:
        """Return the options that outputs depend on; the others change only inputs and controls."""
        names = [*("split_bars", "hop_steps", "steps_per_quarter", "quarters_per_bar")]
        names += ["pitch_classes", "unmapped_pitches", "all_notes", "tempo_changes", "meter"]
        return {name: getattr(self, name) for name in names}


# The layouts of the configs, as plain values that need no TensorFlow.
LAYOUTS = {
    "groovae_4bar": Layout(4, 64),
    "groovae_2bar": Layout(2, 32),
    "groovae_2bar_humanize": Layout(2, 32, humanize=True),
    "groovae_2bar_humanize_hits": Layout(
        2,
        32,
        humanize=True,
        hits_as_controls=True,
        control_context_steps=8,
        tempo_as_control=True,
    ),
    "groovae_2bar_tap_fixed_velocity": Layout(2, 32, tapify=True, fixed_velocities=True),
    "groovae_2bar_tap_context": Layout(
        2,
        32,
        tapify=True,
        fixed_velocities=True,
        inputs_as_controls=True,
        control_context_steps=8,
    ),
    "groovae_2bar_tap_fixed_velocity_note_dropout": Layout(
        2, 32, tapify=True, fixed_velocities=True, max_note_dropout_probability=0.8
    ),
    "groovae_2bar_add_closed_hh": Layout(2, 32, add_instruments=(CLOSED_HIHAT,)),
    "groovae_2bar_add_closed_hh_context": Layout(
        2, 32, add_instruments=(CLOSED_HIHAT,), inputs_as_controls=True, control_context_steps=8
    ),
    "groovae_2bar_hits_control_tfds": Layout(2, 32, hits_as_controls=True),
    "groovae_2bar_transfer_hits": Layout(2, 32, hits_as_controls=True, control_context_steps=8),
}


BUILT_IN = frozenset(LAYOUTS)  # other configs are those of users, see config/user_config.py


def no_such_config(name: str, known: Iterable[str]) -> UsageError:
    return UsageError(
        f"no config is called {name!r}; there are {', '.join(sorted(known))}, and your own as "
        "FILE.py:NAME"
    )


def layout_of(config: str, **options: Any) -> Layout:
    """Return the layout of a GrooVAE config by its name, with the options of `adapt_layout`.

    Raises:
      UsageError: no such config, or an option is not valid.
    """
    if config not in LAYOUTS:
        raise no_such_config(config, LAYOUTS)
    return adapt_layout(LAYOUTS[config], **options)


def layout_of_converter(arguments: Mapping[str, Any], meter: tuple[int, int]) -> Layout:
    """Return the layout of a GrooveConverter from its arguments, as `config.json` has them."""
    fields = {field.name for field in dataclasses.fields(Layout)} - {"meter"}
    same = {name: value for name, value in arguments.items() if name in fields}
    steps = arguments["steps_per_quarter"] * arguments["quarters_per_bar"] * arguments["split_bars"]
    return Layout(
        **same
        | {
            "hop_steps": arguments["hop_size"] or steps,
            "pitch_classes": tuple(map(tuple, arguments["pitch_classes"])),
            "add_instruments": tuple(arguments["add_instruments"] or ()),
            "meter": meter,
        }
    )


def adapt_layout(
    layout: Layout,
    hop_bars: int | None = None,
    unmapped_pitches: str = "drop",
    all_notes: bool = False,
    tempo_changes: str = "skip",
    drum_map: DrumMap | None = None,
    meter: str | None = None,
) -> Layout:
    """Return a layout with the options of a user.

    Args:
      layout: That of a config.
      hop_bars: Bars from the start of one window to the next; by default the config's hop.
      unmapped_pitches: See `Layout`; likewise `all_notes` and `tempo_changes`.
      drum_map: The pitches of each class, by default those of the config.
      meter: Such as `3/4`; by default that of the config.

    Raises:
      UsageError: an option is out of range.
    """
    if hop_bars is not None and not 1 <= hop_bars <= MAX_STEPS:
        raise UsageError(f"hop_bars must be 1 to {MAX_STEPS:,}, got {hop_bars}")
    if unmapped_pitches not in UNMAPPED_PITCHES:
        raise UsageError(
            f"unmapped_pitches must be drop, nearest or error, got {unmapped_pitches!r}"
        )
    if tempo_changes not in TEMPO_CHANGES:
        raise UsageError(f"tempo_changes must be skip or follow, got {tempo_changes!r}")
    if meter:
        layout = _with_meter(layout, parse_meter(meter))
    if drum_map:
        layout = with_drum_map(layout, drum_map)
    return dataclasses.replace(
        layout,
        hop_steps=hop_bars * layout.steps_per_bar if hop_bars else layout.hop_steps,
        unmapped_pitches=unmapped_pitches,
        all_notes=all_notes,
        tempo_changes=tempo_changes,
    )


def with_drum_map(layout: Layout, drum_map: DrumMap) -> Layout:
    """Return a layout with other pitches of its drum classes.

    Raises:
      UsageError: they are not as many.
    """
    if len(drum_map) != layout.num_drums:
        raise UsageError(
            f"the drum map has {len(drum_map)} drum classes, and the model {layout.num_drums}; "
            "leave out --drum_map"
        )
    return dataclasses.replace(layout, pitch_classes=drum_map)


def parse_meter(text: str) -> tuple[int, int]:
    """Parse a meter to train on, such as 3/4 or 6/8.

    >>> parse_meter("6/8")
    (6, 8)

    Raises:
      UsageError: it is not a meter, or its bars are not 1 to 16 whole quarter notes.
    """
    if match := re.fullmatch("([0-9]{1,3})/(1|2|4|8|16)", text):
        meter = int(match[1]), int(match[2])
        if 0 < 4 * meter[0] <= 16 * meter[1] and not 4 * meter[0] % meter[1]:
            return meter
    raise UsageError(
        "meter must be such as 3/4, 6/8 or 5/4, with bars of 1 to 16 whole quarters, got "
        + shorten_value(text)
    )


def format_meter(meter: tuple[int, int]) -> str:
    """Return a meter as text.

    >>> format_meter((6, 8))
    '6/8'
    """
    return f"{meter[0]}/{meter[1]}"


def _with_meter(layout: Layout, meter: tuple[int, int]) -> Layout:
    quarters = 4 * meter[0] // meter[1]
    hop_bars = layout.hop_steps // layout.steps_per_bar
    return dataclasses.replace(
        layout,
        meter=meter,
        quarters_per_bar=quarters,
        hop_steps=hop_bars * layout.steps_per_quarter * quarters,
    )
