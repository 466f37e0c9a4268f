"""What the studio does with grooves: each method of `Actions` answers one `POST api/NAME`.

docs/studio.md documents the arguments of each.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from groovae.errors import GroovaeError, UsageError, shorten_value
from groovae.generation.grooves import from_tensors
from groovae.music.drums import CLASS_NAMES
from groovae.music.midi_writer import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.music.tempo import DEFAULT_QPM
from groovae.studio.arguments import Arguments
from groovae.studio.grooves import TooLarge, count_bars, to_json
from groovae.studio.models import Busy, Models
from groovae.system.log import Log

NAMES = (
    *("sample", "vary", "interpolate", "humanize", "add_hihat", "tap2drum", "transfer"),
    *("infill", "continue", "fill", "decode"),
)
MAX_SAMPLE_BARS = 64
MAX_OUTPUTS = 64
MAX_TOTAL_BARS = 2000  # of the outputs of a request
MAX_TEMPERATURE = 4.0
MAX_PLACE = 4.0  # of the map, whose windows are within 1

Result = Sequence[Any]  # NoteSequences


class Actions:
    """Answers requests with the models."""

    def __init__(self, models: Models):
        self._models = models
        self._by_name: dict[str, Callable[[Arguments, int, Log], Result]] = {
            name: getattr(self, "extend" if name == "continue" else name) for name in NAMES
        }

    def answer(self, name: str, values: Any) -> dict[str, Any]:
        """Return the answer to a request, as JSON.

        Raises:
          UsageError: an argument is not valid.
          Busy: too many requests wait.
        """
        arguments, lines = Arguments(values), list[str]()
        seed, started = arguments.seed(), time.perf_counter()
        try:
            sequences = self._by_name[name](arguments, seed, lines.append)
        except (Busy, UsageError):
            raise
        except GroovaeError as error:  # the models are loaded, so it is about the groove
            raise UsageError(str(error)) from error
        return {
            "grooves": [to_json(one, one.filename or name) for one in sequences],
            "seed": seed,
            "seconds": round(time.perf_counter() - started, 4),
            "log": lines,
        }

    def sample(self, arguments: Arguments, seed: int, log: Log) -> Result:
        styles = arguments.weights("styles")
        num_outputs = arguments.whole("num_outputs", 1, 1, MAX_OUTPUTS)
        bars = arguments.whole("bars", 4, 1, MAX_SAMPLE_BARS)
        temperature, tempo_qpm = _temperature(arguments, 0.5), _tempo(arguments)
        density = arguments.optional_number("density", 0, 1)
        arguments.check_all_taken()
        _check_total(num_outputs, bars)
        with self._models.use("sample", seed, log) as model:
            return model.sample(
                *(num_outputs, bars, temperature, tempo_qpm), style=styles or None, density=density
            )

    def decode(self, arguments: Arguments, seed: int, log: Log) -> Result:
        """Decode the latent of a place of the map, which all segments share."""
        x, y = (arguments.number(name, 0, -MAX_PLACE, MAX_PLACE) for name in "xy")
        bars = arguments.whole("bars", 4, 1, MAX_SAMPLE_BARS)
        temperature, tempo_qpm = _temperature(arguments, 0), _tempo(arguments)
        arguments.check_all_taken()
        if self._models.map is None:
            raise UsageError("the model has no map; write one with scripts/make_map.py")
        with self._models.use("map", seed, log) as model:
            layout = model.layout
            z = np.tile(self._models.map.at(x, y), (-(-bars // layout.split_bars), 1))
            tensors = model.decode_to_tensors(z, min(bars, layout.split_bars), temperature)
            tensor = tensors.reshape(-1, layout.depth)[: bars * layout.steps_per_bar]
            return [from_tensors(tensor, bars, tempo_qpm, layout.pitch_classes, layout.meter)]

    def vary(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove = arguments.groove("groove")
        amount = arguments.number("amount", 0.3, 0, 1)
        num_outputs = arguments.whole("num_outputs", 1, 1, MAX_OUTPUTS)
        temperature = _temperature(arguments, 0)
        more, less = arguments.get("more"), arguments.get("less")
        arguments.check_all_taken()
        _check_total(num_outputs, count_bars(groove))
        with self._models.use("vary", seed, log) as model:
            return _like(groove, model.vary(groove, amount, num_outputs, temperature, more, less))

    def interpolate(self, arguments: Arguments, seed: int, log: Log) -> Result:
        start, end = arguments.groove("start"), arguments.groove("end")
        num_steps = arguments.whole("num_steps", 5, 2, MAX_OUTPUTS)
        temperature = _temperature(arguments, 0)
        arguments.check_all_taken()
        _check_total(num_steps, min(count_bars(start), count_bars(end)))
        with self._models.use("interpolate", seed, log) as model:
            return model.interpolate(start, end, num_steps, temperature)

    def infill(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        bars, drums = _bars(arguments), arguments.list("drums", len(CLASS_NAMES))
        arguments.check_all_taken()
        with self._models.use("infill", seed, log) as model:
            return _like(groove, [model.infill(groove, bars, drums, temperature)])

    def extend(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        bars = arguments.whole("bars", 4, 1, MAX_SAMPLE_BARS)
        arguments.check_all_taken()
        with self._models.use("continue", seed, log) as model:
            return [model.extend(groove, bars, temperature)]

    def fill(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        every = arguments.whole("every", 4, 2, MAX_SAMPLE_BARS)
        arguments.check_all_taken()
        with self._models.use("fill", seed, log) as model:
            return _like(groove, [model.fill(groove, every, temperature)])

    def humanize(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        amounts = _amounts(arguments)
        arguments.check_all_taken()
        with self._models.use("humanize", seed, log) as model:
            return _like(groove, [model.humanize(groove, temperature, **amounts)])

    def transfer(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, feel = arguments.groove("groove"), arguments.groove("feel")
        temperature, amounts = _temperature(arguments, 0), _amounts(arguments)
        arguments.check_all_taken()
        with self._models.use("transfer", seed, log) as model:
            return _like(groove, [model.transfer(feel, groove, temperature, **amounts)])

    def add_hihat(self, arguments: Arguments, seed: int, log: Log) -> Result:
        groove, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        arguments.check_all_taken()
        with self._models.use("add_hihat", seed, log) as model:
            return _like(groove, [model.add_hihat(groove, temperature)])

    def tap2drum(self, arguments: Arguments, seed: int, log: Log) -> Result:
        taps, temperature = arguments.groove("groove"), _temperature(arguments, 0.5)
        velocity_amount = arguments.number("velocity_amount", 1, 0, 1)
        arguments.check_all_taken()
        with self._models.use("tap2drum", seed, log) as model:
            return _like(taps, [model.tap2drum(taps, temperature, velocity_amount)])


def _like(groove: Any, sequences: Sequence[Any]) -> Result:
    """Return sequences with exactly the length, tempos and meters of a groove.

    The grid of a model rounds the places of meters to 16ths.
    """
    for sequence in sequences:
        sequence.total_time = groove.total_time
        for name in ("tempos", "time_signatures"):
            sequence.ClearField(name)
            getattr(sequence, name).extend(getattr(groove, name))
    return sequences


def _bars(arguments: Arguments) -> tuple[int, int] | None:
    """Return the first and the last bar of a range."""
    bars = arguments.list("bars", 2)
    if bars is None:
        return None
    if len(bars) != 2 or not all(type(bar) is int for bar in bars):
        raise UsageError(f"bars must be the first and the last bar, got {shorten_value(bars)}")
    return bars[0], bars[1]


def _amounts(arguments: Arguments) -> dict[str, Any]:
    """Return how much of a performance to apply, and what to keep."""
    return {
        "amount": arguments.number("amount", 1, 0, 1),
        "timing_amount": arguments.optional_number("timing_amount", 0, 1),
        "velocity_amount": arguments.optional_number("velocity_amount", 0, 1),
        "keep": arguments.get("keep"),
    }


def _temperature(arguments: Arguments, default: float) -> float:
    return arguments.number("temperature", default, 0, MAX_TEMPERATURE)


def _tempo(arguments: Arguments) -> float:
    return arguments.number("tempo_qpm", DEFAULT_QPM, MIN_TEMPO_QPM, MAX_TEMPO_QPM)


def _check_total(num_outputs: int, bars: int) -> None:
    if num_outputs * bars > MAX_TOTAL_BARS:
        raise TooLarge(
            f"the studio generates at most {MAX_TOTAL_BARS:,} bars at once, got {num_outputs:,} "
            f"grooves of {bars:,} bars"
        )
