"""WindowReport: how many windows sequences give, and what is lost on the way.

Magenta's converter silently returns no window for a sequence that is not in 4/4, changes its tempo
or is too short, and keeps one of several notes in the same step and drum class. `groovae
preprocess`, `groovae info` and `groovae train` count and report each of these.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from groovae.music.drums import pitch_name


@dataclass
class WindowReport:
    """Counts of windows, and of what was lost on the way.

    Attributes:
      sequences: NoteSequences read.
      used: Sequences that give at least one window.
      windows: Windows.
      bars: Bars of the used sequences.
      bars_lost: Bars of the used sequences that no window covers: the last window is not partial.
      notes: Notes read, of any kind.
      not_drums: Notes that are not drums, and not used.
      crowded: Notes of used sequences in the same step and drum class as a louder one.
      unused: Sequences without a window, by reason.
      unmapped_pitches: Drum notes dropped because no class has their pitch, by pitch.
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
    unused: Counter[str] = field(default_factory=Counter)
    unmapped_pitches: Counter[int] = field(default_factory=Counter)
    moved_pitches: Counter[int] = field(default_factory=Counter)

    def add(self, other: "WindowReport") -> None:
        """Add the counts of another report, in place."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def as_dict(self) -> dict[str, Any]:
        """Return the counts for JSON, with pitches as text."""
        values: dict[str, Any] = dict(vars(self))
        values["unused"] = dict(self.unused.most_common())
        for name in ("unmapped_pitches", "moved_pitches"):
            values[name] = {str(pitch): count for pitch, count in sorted(values[name].items())}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "WindowReport":
        """Read back the result of `as_dict`."""
        counts = {"unused": Counter(values["unused"])}
        for name in ("unmapped_pitches", "moved_pitches"):
            counts[name] = Counter({int(pitch): n for pitch, n in values[name].items()})
        return cls(**{**values, **counts})

    def lines(self) -> list[str]:
        """Return the report as text: the number of windows, then one line for each loss."""
        lines = [f"{self.windows:,} windows from {self.used:,} of {self.sequences:,} sequences"]
        if self.unused:
            lines.append(f"no window from {format_counts(self.unused)}")
        if self.bars_lost:
            lines.append(
                f"{self.bars_lost:,} of {self.bars:,} bars left out: no whole window covers them"
            )
        return [*lines, *self.note_lines()]

    def summary(self, title: str) -> str:
        """Return the lines below each other, with a title before the first."""
        return f"{title}: " + "\n  ".join(self.lines())

    def note_lines(self, see: str = "--drum_map, --unmapped_pitches") -> Iterable[str]:
        """Yield one line for each way in which notes were lost; `see` names the flags to set."""
        of = f"of {self.notes:,} notes"
        if self.not_drums:
            advice = " (--all_notes uses them as drums)" if self.not_drums == self.notes else ""
            yield f"{self.not_drums:,} {of} left out: not drums{advice}"
        if self.unmapped_pitches:
            yield (
                f"{self.unmapped_pitches.total():,} {of} left out: no drum class holds pitch "
                f"{_format_pitches(self.unmapped_pitches)} (see {see})"
            )
        if self.moved_pitches:
            yield (
                f"{self.moved_pitches.total():,} {of} moved to the nearest drum class: pitch "
                f"{_format_pitches(self.moved_pitches)}"
            )
        if self.crowded:
            yield f"{self.crowded:,} {of} left out: a louder one in the same step and drum class"

    def __str__(self) -> str:
        return "; ".join(self.lines())


def format_counts(counts: Counter[str], at_most: int = 5) -> str:
    """Return counts as text, highest first: `684 shorter than 4 bars, 12 not in 4/4, 7 others`."""
    texts = [f"{count:,} {name}" for name, count in counts.most_common(at_most)]
    others = sum(count for _, count in counts.most_common()[at_most:])
    return ", ".join([*texts, f"{others:,} others"] if others else texts)


def _format_pitches(counts: Counter[int]) -> str:
    """Return pitches as text: `39 (hand clap) 120 times, 56 (cowbell) 3 times, 2 more`."""
    texts = [f"{pitch_name(pitch)} {count:,} times" for pitch, count in counts.most_common(5)]
    return ", ".join([*texts, f"{len(counts) - 5} more"] if len(counts) > 5 else texts)
