"""What goes to stdout and stderr."""

import json
import math
import sys
from typing import Any


def log(line: str) -> None:
    """Talk goes to stderr, so that stdout holds data only."""
    print(line, file=sys.stderr, flush=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object to stdout, for machines; a number that is none becomes null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
