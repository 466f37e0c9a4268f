"""Conditions on results, so that an evaluation can stop a pipeline: `timing_mae_ms<20`.

A condition is a name, one of < <= > >=, and a number. A name is that of a metric, or of a loss, or
the way to a number in what `groovae evaluate --metrics --json` prints, its keys joined by dots:
`hit_f1`, `hit_f1.low` (the lower end of its interval), `losses/kl_bits`, `samples.copies`,
`latent.active_dimensions`, `by_drum.snare.hit_f1`.
"""

import dataclasses
import difflib
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from groovae.errors import UsageError

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
CONDITION = re.compile(r"\s*(?P<name>[\w./ -]*\w)\s*(?P<comparison><=|>=|<|>)\s*(?P<bound>\S+)\s*")
SHORT = re.compile(r"^(scores|losses)\.|\.value$")


@dataclasses.dataclass(frozen=True)
class Condition:
    """A name, how it is compared, and what with."""

    name: str
    comparison: str
    bound: float

    def check(self, results: dict[str, Any]) -> str | None:
        """Why it does not hold, or None if it does; a number that is none meets no condition.

        Raises:
          UsageError: nothing in the results has that name.
        """
        numbers = dict(_numbers(results))
        self.check_name(numbers)
        value = numbers[self.name]
        if COMPARISONS[self.comparison](value, self.bound):
            return None
        return f"{self} does not hold: it is {value:.6g}"

    def check_name(self, known: Iterable[str]) -> None:
        """Raises a UsageError where the name is not among those that are known."""
        known = set(known)
        if self.name not in known:
            short = {SHORT.sub("", name) for name in known}
            near = difflib.get_close_matches(self.name, short, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"--require={self}: no result is called {self.name!r}{hint}")

    def __str__(self) -> str:
        return f"{self.name}{self.comparison}{self.bound:g}"


def parse(text: str) -> Condition:
    """Reads a condition such as `timing_mae_ms<20`.

    Raises:
      UsageError: it is none.
    """
    found = CONDITION.fullmatch(text)
    try:
        if found and math.isfinite(bound := float(found["bound"])):
            return Condition(found["name"], found["comparison"], bound)
    except ValueError:
        pass
    raise UsageError(
        f"--require={text}: write a condition as NAME<NUMBER, with one of < <= > >=, such as "
        "'timing_mae_ms<20' (in quotes, or the shell takes < for a file)"
    )


def _numbers(results: Any, way: str = "") -> Iterator[tuple[str, float]]:
    """All numbers in the results by the way to them, and by the short one where there is one."""
    if isinstance(results, dict | list):
        items = results.items() if isinstance(results, dict) else enumerate(results)
        for key, value in items:
            yield from _numbers(value, f"{way}.{key}" if way else str(key))
    elif isinstance(results, int | float):
        yield from ((name, float(results)) for name in (SHORT.sub("", way), way))
