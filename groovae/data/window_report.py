"""An account of the way from sequences to windows: how many there are, and what was lost.

Magenta's converter gives zero windows, without a word, for a sequence that is not in 4/4, changes
its tempo or is too short, and keeps one note where two fall into one step of one drum class. Here
each of these is counted: by `groovae preprocess` beforehand, by `groovae info` from the records,
and by `groovae train` when it makes the windows.
"""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any

from groovae.music.drums import pitch_name


@dataclasses.dataclass
class WindowReport:
    """How many windows a set of sequences gives, and what was lost on the way.

    Attributes:
      sequences: NoteSequences read.
      used: Sequences that give at least one window.
      windows: Windows in all.
      bars: Bars of the sequences that give windows.
      bars_lost: Of these, the bars that no window covers: a last window would be partial.
      notes: Notes read, of any kind.
      not_drums: Notes that are no drum's, and so not used.
      crowded: Notes in used sequences that fell into one step of one class with a louder one.
      unused: How many sequences give no window, by reason.
      unmapped_pitches: Drum notes left out since no class holds them, by pitch.
      moved_pitches: Drum notes moved to the nearest class, by pitch.
    """

    sequences: int = 0
    used: int = 0
    windows: int = 0
    bars: int = 0
    bars_lost: int = 0
    notes: int = 0
    not_drums: int = 0
    crowded: int = 0
    unused: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unmapped_pitches: collections.Counter[int] = dataclasses.field(
        default_factory=collections.Counter
    )
    moved_pitches: collections.Counter[int] = dataclasses.field(default_factory=collections.Counter)

    def add(self, other: "WindowReport") -> None:
        """Adds up, in place; a Counter adds as a number does."""
        for field in dataclasses.fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))

    def as_dict(self) -> dict[str, Any]:
        """For JSON; pitches become text, as JSON's keys are."""
        values: dict[str, Any] = dict(vars(self))
        values["unused"] = dict(self.unused.most_common())
        for name in ("unmapped_pitches", "moved_pitches"):
            values[name] = {str(pitch): count for pitch, count in sorted(values[name].items())}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "WindowReport":
        """Reads `as_dict` back."""
        counts = {"unused": collections.Counter(values["unused"])}
        for name in ("unmapped_pitches", "moved_pitches"):
            counts[name] = collections.Counter({int(p): n for p, n in values[name].items()})
        return cls(**{**values, **counts})

    def lines(self) -> list[str]:
        """The report for a person: a line for each thing worth knowing, the best one first."""
        lines = [f"{self.windows:,} windows from {self.used:,} of {self.sequences:,} sequences"]
        if self.unused:
            lines.append(f"no window from {format_counts(self.unused)}")
        if self.bars_lost:
            lines.append(
                f"{self.bars_lost:,} of {self.bars:,} bars left out: no whole window covers them"
            )
        return [*lines, *self.note_lines()]

    def summary(self, what: str) -> str:
        """The lines below each other, the first one after what they are told of."""
        return f"{what}: " + "\n  ".join(self.lines())

    def note_lines(self, see: str = "--unmapped_pitches") -> Iterable[str]:
        """A line for each way in which notes were lost; `see` names the flag about pitches."""
        of = f"of {self.notes:,} notes"
        if self.not_drums:
            yield f"{self.not_drums:,} {of} left out: not drums (--all_notes takes them for drums)"
        if self.unmapped_pitches:
            yield (
                f"{self.unmapped_pitches.total():,} {of} left out: no drum class holds pitch "
                f"{_pitches(self.unmapped_pitches)} (see {see})"
            )
        if self.moved_pitches:
            yield (
                f"{self.moved_pitches.total():,} {of} moved to the nearest drum class: pitch "
                f"{_pitches(self.moved_pitches)}"
            )
        if self.crowded:
            yield f"{self.crowded:,} {of} left out: a louder one in the same step and drum class"

    def __str__(self) -> str:
        return "; ".join(self.lines())


def format_counts(counts: collections.Counter[str], at_most: int = 5) -> str:
    """`684 shorter than 4 bars, 12 not in 4/4`; the rest, if there are many, in one number."""
    most = counts.most_common(at_most)
    texts = [f"{count:,} {what}" for what, count in most]
    others = counts.total() - sum(count for _, count in most)
    return ", ".join([*texts, f"{others:,} others"] if others else texts)


def _pitches(counts: collections.Counter[int]) -> str:
    """`39 (hand clap) 120 times, 56 (cowbell) 3 times`."""
    named = collections.Counter({pitch_name(pitch): count for pitch, count in counts.items()})
    listed = [f"{name} {count:,} times" for name, count in named.most_common(5)]
    return ", ".join([*listed, f"{len(named) - 5} more"] if len(named) > 5 else listed)
