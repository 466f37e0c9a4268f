"""Helpers for the tests of an exported model's page: open it, and read its contents."""

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from browser import listening_tab

from groovae.music.midi_writer import write_sequence
from groovae.report.rolls import LANE_OF, LOUDEST, SOFTEST

RANDOM_HPARAMS = "enc_rnn_size=[32],dec_rnn_size=[32,32],z_size=16"
DRUM_OF_LANE = {lane: drum for drum, lane in LANE_OF.items()}
STEM = re.compile(r"M(-?[\d.]+) ([\d.]+)v-([\d.]+)")

OpenPage = Callable[..., Any]

# Replaces Math.random by mulberry32, which `seed(value)` restarts.
SEEDED_RANDOM = """
let state = 1;
globalThis.seed = (value) => { state = value; };
Math.random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
"""

# Adds `loudness()`, the peak of the last 0.7 s of audio output.
LOUDNESS_METER = """
const { connect } = AudioNode.prototype;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const analyser = new AnalyserNode(this.context, { fftSize: 32768 });
    const samples = new Float32Array(analyser.fftSize);
    connect.call(this, analyser);
    window.loudness = () => {
      analyser.getFloatTimeDomainData(samples);
      return Math.max(...samples.map(Math.abs));
    };
  }
  return connect.call(this, target, ...rest);
};
"""

SCRIPT = SEEDED_RANDOM + LOUDNESS_METER


class Hit(NamedTuple):
    """A hit as drawn in a roll: its drum, its time in 16ths, its velocity."""

    drum: int
    time: float
    velocity: float


@contextlib.contextmanager
def checked_pages(browser: Any) -> Iterator[OpenPage]:
    """Yield a function that opens pages; fail on any error or request to another server."""
    problems: list[str] = []

    def open_page(url: str, ready: str = "#about-b:not(:empty)", **options: Any) -> Any:
        def check_console(message: Any) -> None:
            if message.type == "error":
                problems.append(message.text)

        def check_request(request: Any) -> None:
            if not request.url.startswith((f"{url}/", f"blob:{url}/", "data:")):
                problems.append(request.url)

        def check_dialog(dialog: Any) -> None:
            problems.append(dialog.message)
            dialog.dismiss()

        listeners = {
            "console": check_console,
            "pageerror": lambda error: problems.append(str(error)),
            "dialog": check_dialog,
            "request": check_request,
        }
        page = tabs.enter_context(listening_tab(browser, SCRIPT, listeners, **options))
        page.goto(f"{url}/")
        page.wait_for_selector(ready)
        return page

    with contextlib.ExitStack() as tabs:
        yield open_page
    assert problems == []


def hits_in(page: Any, roll: str = "#roll") -> list[Hit]:
    """Return the hits drawn in a roll, by time."""
    paths = page.eval_on_selector_all(
        f"{roll} path:not(.lane):not(.beat):not(.bar)",
        "paths => paths.map(path => path.getAttribute('d')).join('')",
    )
    hits = []
    for x, bottom, height in STEM.findall(paths):
        velocity = (float(height) - SOFTEST) / (LOUDEST - SOFTEST) * 127
        hits.append(Hit(DRUM_OF_LANE[int(float(bottom))], float(x), velocity))
    return sorted(hits, key=lambda hit: (hit.time, hit.drum))


def cells_of(hits: list[Hit]) -> set[tuple[int, int]]:
    return {(round(hit.time), hit.drum) for hit in hits}


def assert_same_hits(hits: list[Hit], window: np.ndarray) -> None:
    """Check that hits have the drums, times and velocities of a window [steps, 27]."""
    expected = [
        (drum, step - window[step, 18 + drum] / 2, max(127 * window[step, 9 + drum], 1))
        for step, drum in np.argwhere(window[:, :9] > 0.5)
    ]
    assert len(hits) == len(expected)
    errors = np.subtract(sorted(hits), sorted(expected)).reshape(-1, 3)
    assert (np.abs(errors) <= [0, 1e-3, 0.6]).all()


def wait_for_name(page: Any, name: str) -> None:
    page.wait_for_function("name => document.querySelector('#name').textContent === name", arg=name)


def set_slider(page: Any, name: str, value: float) -> None:
    """Move a slider, and return when its effect is drawn."""
    page.locator(f"#{name}").fill(str(value))
    page.evaluate("new Promise(r => requestAnimationFrame(() => setTimeout(r)))")


def write_midi(groove: Any, path: Path) -> Path:
    write_sequence(path, groove)
    return path
