"""The tables of `benchmark.py`: figures of groovae beside those of a base, and their targets."""

import dataclasses
from collections.abc import Sequence
from statistics import median
from typing import Any


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison, and at most one target.

    Attributes:
      ratio: How much better groovae is, or for memory how much it takes.
      at_least: What the ratio must reach.
      at_most: What the ratio must not exceed.
      under: What the figure of groovae must stay under, in its unit, whatever the base has.
    """

    what: str
    unit: str
    base: float
    groovae: float
    ratio: float
    at_least: float | None = None
    at_most: float | None = None
    under: float | None = None

    @property
    def target(self) -> str:
        if self.under is not None:
            return f"under {self.under:g} {self.unit}"
        if self.at_least is not None:
            return f"at least {self.at_least:g}"
        return "" if self.at_most is None else f"at most {self.at_most:g}"

    @property
    def is_missed(self) -> bool:
        if self.under is not None:
            return self.groovae >= self.under
        too_little = self.at_least is not None and self.ratio < self.at_least
        return too_little or (self.at_most is not None and self.ratio > self.at_most)

    @property
    def verdict(self) -> str:
        return ("MISSED" if self.is_missed else "ok") if self.target else ""


@dataclasses.dataclass
class Section:
    """A table: rows against one base, and what else is worth knowing, line by line."""

    name: str
    base: str
    rows: list[Row] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    phases: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    def add(self, what: str, unit: str, base: float, groovae: float, **target: float) -> None:
        """A row. Of times ("s") and memory ("MB") less is better, of rates ("/s") more."""
        ratio = base / groovae if unit == "s" and "at_most" not in target else groovae / base
        self.rows.append(Row(what, unit, base, groovae, ratio, **target))

    def add_phases(self, who: str, runs: Sequence[dict[str, float]]) -> None:
        """Where the seconds of a program go: the medians of its runs, phase by phase."""
        self.phases[who] = {name: median([run[name] for run in runs]) for name in runs[0]}

    def as_dict(self) -> dict[str, Any]:
        rows = [
            {**dataclasses.asdict(row), "target": row.target, "verdict": row.verdict}
            for row in self.rows
        ]
        return {**dataclasses.asdict(self), "rows": rows}


def show(section: Section) -> None:
    width = max([len(row.what) for row in section.rows] + [30])
    print(f"\n== {section.name} (base: {section.base})\n")
    print(f"{'':{width}} {'base':>9} {'groovae':>9}      {'ratio':>6}  target")
    for row in section.rows:
        digits = 0 if row.unit == "MB" else 2
        print(
            f"{row.what:{width}} {row.base:>9.{digits}f} {row.groovae:>9.{digits}f} {row.unit:4} "
            f"{row.ratio:>6.2f}  {row.target:14}{row.verdict}".rstrip()
        )
    if section.phases:
        show_phases(section.phases)
    for note in section.notes:
        print(note)


def show_phases(phases: dict[str, dict[str, float]]) -> None:
    names = next(iter(phases.values()))
    print(f"\n{'where the seconds go':22}" + "".join(f"{name:>9}" for name in names))
    for who, seconds in phases.items():
        print(f"{who:22}" + "".join(f"{seconds[name]:>9.2f}" for name in names))
