"""Conditions on results, so that an evaluation can stop a pipeline: `timing_mae_ms<20`.

A condition is a name, one of < <= > >=, and a number. The name is a metric, a loss, or the path to
a number in the output of `groovae evaluate --metrics --json`, its keys joined by dots: `hit_f1`,
`hit_f1.low` (the lower end of the interval), `losses/kl_bits`, `samples.copies`,
`latent.active_dimensions`, `by_drum.snare.hit_f1`.

>>> parse("hit_f1 > 0.7").check({"scores": {"hit_f1": {"value": 0.65}}})
'hit_f1>0.7 is not met: the value is 0.65'
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
OPTIONAL = re.compile(r"^(scores|losses)\.|\.value$")  # parts of a path


@dataclasses.dataclass(frozen=True)
class Condition:
    """A name, a comparison, and a number to compare with."""

    name: str
    comparison: str
    bound: float

    def check(self, results: dict[str, Any]) -> str | None:
        """Return why the condition is not met, or None; a non-finite value meets no condition.

        Raises:
          UsageError: nothing in the results has that name.
        """
        numbers = dict(_numbers(results))
        self.check_name(numbers)
        value = numbers[self.name]
        if COMPARISONS[self.comparison](value, self.bound):
            return None
        return f"{self} is not met: the value is {value:.6g}"

    def check_name(self, known: Iterable[str]) -> None:
        """Raise a UsageError that suggests similar names if the name is unknown."""
        known = set(known)
        if self.name not in known:
            short = {OPTIONAL.sub("", name) for name in known}
            similar = difflib.get_close_matches(self.name, short, n=3, cutoff=0.4)
            hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
            raise UsageError(f"--require={self}: unknown result {self.name!r}{hint}")

    def __str__(self) -> str:
        return f"{self.name}{self.comparison}{self.bound:g}"


def parse(text: str) -> Condition:
    """Parse a condition such as `timing_mae_ms<20`.

    Raises:
      UsageError: not a valid condition.
    """
    found = CONDITION.fullmatch(text)
    try:
        if found and math.isfinite(bound := float(found["bound"])):
            return Condition(found["name"], found["comparison"], bound)
    except ValueError:
        pass
    raise UsageError(
        f"--require={text}: not a valid condition; write NAME<NUMBER with < <= > or >=, such as "
        "'timing_mae_ms<20' (in quotes, or the shell reads < as a redirection)"
    )


def _numbers(results: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Yield all numbers by their path, and by the path without its optional parts."""
    if isinstance(results, dict | list):
        items = results.items() if isinstance(results, dict) else enumerate(results)
        for key, value in items:
            yield from _numbers(value, f"{path}.{key}" if path else str(key))
    elif isinstance(results, int | float):
        yield from ((name, float(results)) for name in (OPTIONAL.sub("", path), path))
