"""Layout: how windows are cut from a groove, and which parts of them the encoder gets."""

import dataclasses
import functools
from typing import Any

from groovae.music.drums import NEAREST, classes


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
      max_note_dropout_probability: Upper bound of the probability with which notes are removed
        from the inputs at random, soft notes more often; None removes none and draws no random
        number.
      unmapped_pitches: What to do with drum notes of a pitch without a class: `drop` them, move
        them to the `nearest` class (see groovae/music/drums.py), or raise an `error`.
      all_notes: Use notes of all tracks as drums, not only notes flagged is_drum.
    """

    split_bars: int
    hop_steps: int
    pitch_classes: tuple[tuple[int, ...], ...]
    steps_per_quarter: int = 4
    quarters_per_bar: int = 4
    humanize: bool = False
    tapify: bool = False
    fixed_velocities: bool = False
    add_instruments: tuple[int, ...] = ()
    hits_as_controls: bool = False
    max_note_dropout_probability: float | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False

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
        return self.num_drums if self.hits_as_controls else 0

    @functools.cached_property
    def class_of(self) -> dict[int, int]:
        """Drum class by pitch."""
        return classes(self.pitch_classes)

    @functools.cached_property
    def nearest_class_of(self) -> dict[int, int]:
        """Drum class by pitch without a class of its own; empty unless they go to the nearest."""
        if self.unmapped_pitches != "nearest":
            return {}
        return {
            pitch: drum
            for pitch, drum in NEAREST.items()
            if pitch not in self.class_of and drum < self.num_drums
        }

    def report_fields(self) -> dict[str, Any]:
        """Return the options, besides the config, that affect the number of windows."""
        return {
            "split_bars": self.split_bars,
            "hop_bars": self.hop_steps / self.steps_per_bar,
            "unmapped_pitches": self.unmapped_pitches,
            "all_notes": self.all_notes,
        }

    def grid_options(self) -> dict[str, Any]:
        """Return the options that outputs depend on; the others change only inputs and controls."""
        names = [*("split_bars", "hop_steps", "steps_per_quarter", "quarters_per_bar")]
        names += ["pitch_classes", "unmapped_pitches", "all_notes"]
        return {name: getattr(self, name) for name in names}
