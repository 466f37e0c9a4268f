"""The arguments of a request: a JSON object, whose values are checked as they are taken."""

import secrets
from typing import Any

from groovae.errors import UsageError, check_number, check_whole, shorten_value
from groovae.studio.grooves import from_json

MAX_SEED = 2**31 - 1


class Arguments:
    """The arguments of one request.

    >>> arguments = Arguments({"amount": 0.5})
    >>> arguments.number("amount", 0.3, 0, 1), arguments.whole("num_outputs", 1, 1, 9)
    (0.5, 1)
    """

    def __init__(self, values: Any):
        if not isinstance(values, dict):
            raise UsageError(f"the body must be a JSON object, got {shorten_value(values)}")
        self._values, self._taken = values, set[str]()

    def get(self, name: str, default: Any = None) -> Any:
        """Return a value; null counts as missing."""
        self._taken.add(name)
        value = self._values.get(name)
        return default if value is None else value

    def number(self, name: str, default: float, least: float, most: float) -> float:
        value = self.get(name, default)
        _refuse_bool(name, value)
        check_number(name, value, least, most)
        return float(value)

    def optional_number(self, name: str, least: float, most: float) -> float | None:
        """Return a number, or None if it is missing."""
        return None if self.get(name) is None else self.number(name, least, least, most)

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        value = self.get(name, default)
        _refuse_bool(name, value)
        check_whole(name, value, least, most)
        return int(value)

    def seed(self) -> int:
        """Return the seed, by default a random one."""
        return self.whole("seed", secrets.randbelow(MAX_SEED + 1), 0, MAX_SEED)

    def list(self, name: str, most: int) -> "list[Any] | None":
        """Return a list, or None if it is missing."""
        value = self.get(name)
        if value is not None and not (isinstance(value, list) and len(value) <= most):
            raise UsageError(
                f"{name} must be a list of at most {most} values, got {shorten_value(value)}"
            )
        return value

    def weights(self, name: str) -> dict[str, float]:
        """Return an object of positive numbers, empty if it is missing; zeros are left out."""
        value = self.get(name, {})
        if not isinstance(value, dict):
            raise UsageError(f"{name} must be an object of numbers, got {shorten_value(value)}")
        for key, weight in value.items():
            _refuse_bool(key, weight)
            check_number(f"{name}: {shorten_value(key)}", weight, 0)
        return {key: float(weight) for key, weight in value.items() if weight > 0}

    def groove(self, name: str, for_model: bool = True) -> Any:
        """Return a groove as a NoteSequence; see `grooves.from_json`."""
        if self.get(name) is None:
            raise UsageError(f"{name} is missing: a groove")
        return from_json(self.get(name), for_model)

    def check_all_taken(self) -> None:
        """Raise a UsageError if an argument was not taken: a wrong name is no default."""
        for name in self._values.keys() - self._taken:
            known = ", ".join(sorted(self._taken)) or "none"
            raise UsageError(f"no argument is called {shorten_value(name)}; there are {known}")


def _refuse_bool(name: str, value: Any) -> None:
    if isinstance(value, bool):  # which counts as a number in Python
        raise UsageError(f"{name} must be a number, got {str(value).lower()}")
