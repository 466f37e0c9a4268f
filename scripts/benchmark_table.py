"""Tables of the benchmarks in Markdown: groovae beside a baseline, with targets."""

import dataclasses
from collections.abc import Sequence
from statistics import median
from typing import Any


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; all columns but the first are right-aligned."""
    rule = ["---", *["--:"] * (len(header) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


@dataclasses.dataclass(frozen=True)
class Row:
    """One comparison with at most one target.

    Attributes:
      what: The value compared.
      ratio: Speed-up of groovae; for memory, groovae's use divided by the baseline's.
      at_least: Lower limit of the ratio.
      at_most: Upper limit of the ratio.
      under: Upper limit of groovae's own value, in its unit.
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
        too_small = self.at_least is not None and self.ratio < self.at_least
        return too_small or (self.at_most is not None and self.ratio > self.at_most)

    @property
    def verdict(self) -> str:
        return ("MISSED" if self.is_missed else "ok") if self.target else ""

    def cells(self) -> list[str]:
        digits = 0 if self.unit == "MB" else 2
        values = [f"{value:.{digits}f}" for value in (self.base, self.groovae)]
        label, ratio = f"{self.what}, {self.unit}", f"{self.ratio:.2f}"
        return [label, *values, ratio, self.target, self.verdict]


@dataclasses.dataclass
class Section:
    """A table of comparisons with one baseline, phases of each program, and notes.

    Attributes:
      base: The name of the baseline.
      phases: Median seconds of each phase, by program.
    """

    name: str
    base: str
    rows: list[Row] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    phases: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)

    def add(self, what: str, unit: str, base: float, groovae: float, **target: float) -> None:
        """Add a row. Lower is better for times ("s") and memory ("MB"), higher for rates ("/s")."""
        ratio = base / groovae if unit == "s" and "at_most" not in target else groovae / base
        self.rows.append(Row(what, unit, base, groovae, ratio, **target))

    def add_phases(self, program: str, runs: Sequence[dict[str, float]]) -> None:
        """Add the median seconds of each phase over the runs of a program."""
        self.phases[program] = {name: median([run[name] for run in runs]) for name in runs[0]}

    def as_dict(self) -> dict[str, Any]:
        rows = [
            {**dataclasses.asdict(row), "target": row.target, "verdict": row.verdict}
            for row in self.rows
        ]
        return {**dataclasses.asdict(self), "rows": rows}

    def __str__(self) -> str:
        header = [self.name, self.base, "groovae", "ratio", "target", ""]
        parts = [markdown_table(header, [row.cells() for row in self.rows])]
        if self.phases:
            names = next(iter(self.phases.values()))
            rows = [
                [program, *(f"{seconds[name]:.2f}" for name in names)]
                for program, seconds in self.phases.items()
            ]
            parts.append(markdown_table(["seconds by phase", *names], rows))
        return "\n\n".join([*parts, *self.notes])
