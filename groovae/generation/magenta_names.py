"""Arguments of GrooveModel's methods by their names in Magenta's TrainedModel."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from groovae.config.layout import Layout
from groovae.errors import UsageError

Method = TypeVar("Method", bound=Callable[..., Any])


def accept_magenta_names(method: Method) -> Method:
    """Let a method take `n` for num_outputs, and `length`, in steps, for bars."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **arguments: Any) -> Any:
        if arguments.keys() & {"n", "length"}:
            arguments = translate(self.layout, arguments)
        return method(self, *args, **arguments)

    return call  # type: ignore[return-value]


def translate(layout: Layout, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments by their names here.

    Raises:
      UsageError: one is given by both names, or the length is not in whole bars.
    """
    translated = dict(arguments)
    for theirs, ours in (("n", "num_outputs"), ("length", "bars")):
        if theirs in translated:
            if ours in translated:
                raise UsageError(f"{theirs} is Magenta's name of {ours}; give one of them")
            translated[ours] = translated.pop(theirs)
    length, steps = arguments.get("length"), layout.steps_per_bar
    if length is None:
        translated = {name: value for name, value in translated.items() if name != "bars" or value}
    elif type(length) is int and not length % steps:
        translated["bars"] = length // steps
    else:
        raise UsageError(f"length must be a multiple of {steps}, the steps of a bar, got {length}")
    return translated
