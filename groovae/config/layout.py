"""How windows are cut and what the model sees of them: the options of a GrooveConverter."""

import dataclasses
import functools
from typing import Any

from groovae.music.drums import NEAREST, classes

UNMAPPED_PITCHES = ("drop", "nearest", "error")


@dataclasses.dataclass(frozen=True)
class Layout:
    """How windows are cut and what the model sees of them: the options of a GrooveConverter.

    Attributes:
      split_bars: Bars in a window.
      hop_steps: Steps from the start of a window to that of the next.
      pitch_classes: The pitches of each drum class.
      steps_per_quarter: Grid steps in a quarter note.
      quarters_per_bar: Quarter notes in a bar.
      humanize: Inputs have hits only; the model learns velocities and offsets.
      tapify: Inputs have only the loudest note of each step, as one drum.
      fixed_velocities: Inputs have no velocities.
      add_instruments: Drum classes that are left out of the inputs; the model learns to add them.
      hits_as_controls: The hits are given to the decoder as well.
      max_note_dropout_probability: Up to this share of the notes is left out of the inputs at
        random, soft ones first; None leaves out none and draws no random number.
      unmapped_pitches: What becomes of a drum note that has no class: `drop`, `nearest` (see
        drums.py) or `error`.
      all_notes: Take the notes of all tracks for drums, not only those that say they are.
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
        """Of inputs and outputs: hits, velocities and offsets of each drum."""
        return 3 * self.num_drums

    @property
    def control_depth(self) -> int:
        return self.num_drums if self.hits_as_controls else 0

    @functools.cached_property
    def class_of(self) -> dict[int, int]:
        """The drum class of each pitch that has one."""
        return classes(self.pitch_classes)

    @functools.cached_property
    def nearest_class_of(self) -> dict[int, int]:
        """The drum class of each pitch that has none of its own, where the policy gives it one."""
        if self.unmapped_pitches != "nearest":
            return {}
        return {
            pitch: drum
            for pitch, drum in NEAREST.items()
            if pitch not in self.class_of and drum < self.num_drums
        }

    def report_fields(self) -> dict[str, Any]:
        """For a report: what the number of windows depends on, beside the config."""
        return {
            "split_bars": self.split_bars,
            "hop_bars": self.hop_steps / self.steps_per_bar,
            "unmapped_pitches": self.unmapped_pitches,
            "all_notes": self.all_notes,
        }

    def grid_options(self) -> dict[str, Any]:
        """All that outputs depend on; the other options change only what is made from them."""
        names = [*("split_bars", "hop_steps", "steps_per_quarter", "quarters_per_bar")]
        names += ["pitch_classes", "unmapped_pitches", "all_notes"]
        return {name: getattr(self, name) for name in names}
