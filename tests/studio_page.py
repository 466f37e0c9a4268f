"""Helpers for the tests of the studio: its server, and its page in Chromium."""

import contextlib
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from groovae.studio.models import Models
from groovae.studio.server import StudioServer

SECONDS = 30

# A Web MIDI device: `pad.play(pitch, velocity)` plays it, `sent` has what the page sent.
MIDI_DEVICE = """
class Port extends EventTarget { id = "1"; name = "Pad"; onmidimessage = null; }
globalThis.sent = [];
globalThis.pad = new Port();
pad.play = (pitch, velocity) => pad.onmidimessage?.(
  { data: [0x99, pitch, velocity], timeStamp: performance.now() });
const out = Object.assign(new Port(), { id: "2", name: "DAW", clear() {} });
out.send = (data, time) => sent.push([time, ...data]);
navigator.requestMIDIAccess = async () => Object.assign(
  new EventTarget(), { inputs: new Map([["1", pad]]), outputs: new Map([["2", out]]) });
"""


@contextlib.contextmanager
def serve_studio() -> Iterator[StudioServer]:
    """Serve the studio with the bundled models."""
    with StudioServer(Models()) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class StudioPage:
    """The page, with short names for what tests do with it.

    Attributes:
      page: The page of playwright.
      problems: Console messages, errors and requests to other servers; a test expects none.
    """

    def __init__(self, browser: Any, url: str, **options: Any):
        """Prepare the page; `open` opens it."""
        self.url, self.problems = url, list[str]()
        self.context = browser.new_context(**options)
        self.page = page = self.context.new_page()
        page.set_default_timeout(SECONDS * 1000)
        page.add_init_script(MIDI_DEVICE)
        page.on("console", lambda message: self.problems.append(message.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self._check_request(request.url))

    def _check_request(self, url: str) -> None:
        if not url.startswith((self.url, f"blob:{self.url.rsplit('/', 2)[0]}/")):
            self.problems.append(url)

    def open(self, fragment: str = "") -> None:
        self.page.goto(self.url + fragment)
        self.page.wait_for_selector("body[data-ready]")

    def close(self) -> None:
        self.context.close()
        assert self.problems == [], self.problems

    def run(self, script: str, argument: Any = None) -> Any:
        """Evaluate an expression of `studio`, the page's object, and `arg`."""
        return self.page.evaluate(
            "async (arg) => { const { studio } = await import('./main.js'); "
            f"return {script}; }}",
            argument,
        )

    def wait(self, script: str, argument: Any = None) -> None:
        """Wait until an expression is true; the page's policy forbids wait_for_function."""
        for _ in range(SECONDS * 20):
            if self.run(script, argument):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {script}")

    @property
    def groove(self) -> dict[str, Any]:
        return self.run("studio.store.state.groove")

    @property
    def labels(self) -> list[str]:
        return self.run("studio.store.entries.map(({ label }) => label)")

    def click(self, selector: str, **options: Any) -> None:
        self.page.locator(selector).click(**options)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def after(self, act: Callable[[], Any]) -> dict[str, Any]:
        """Act, wait for another entry of the history, and return its groove."""
        self.run("globalThis.before = studio.store.entry")
        act()
        self.wait("studio.store.entry !== globalThis.before")
        return self.groove

    def slide(self, selector: str, value: float) -> None:
        """Move a slider, and wait for the groove that it makes."""
        self.after(lambda: self.page.locator(selector).fill(str(value)))

    def place(self, drum: int, beat: float) -> tuple[float, float]:
        """Return where a beat of a drum is in the window, in the middle of the lane."""
        x, y = self.run(
            "(({ view }) => { const box = view.canvas.getBoundingClientRect(); return [box.x + "
            "view.xOf(arg[1]), box.y + view.topOf(arg[0]) + view.laneHeight / 2]; })(studio)",
            [drum, beat],
        )
        return x, y

    def drag(self, start: tuple[float, float], by: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*start)
        mouse.down()
        mouse.move(start[0] + by[0] / 2, start[1] + by[1] / 2)
        mouse.move(start[0] + by[0], start[1] + by[1])
        mouse.up()

    def drawn(self) -> list[tuple[float, int, int]]:
        """Return beat, drum and velocity of the stems drawn in view, from where they are."""
        self.page.evaluate("new Promise((wake) => requestAnimationFrame(() => setTimeout(wake)))")
        rows = self.run(
            "studio.view.boxes.map((box) => [studio.view.beatAt(box.x), "
            "studio.view.drumAt(box.y + box.height / 2), "
            "(box.height / studio.view.laneHeight - 0.18) / 0.68 * 127])"
        )
        return sorted((round(beat, 4), drum, round(velocity)) for beat, drum, velocity in rows)

    def midi(self) -> bytes:
        """Return the file that a drag of the MIDI link gives to a DAW, once it is up to date."""
        self.wait("studio.files.file?.groove === studio.store.state.groove")
        kind, _, url = self.page.evaluate(
            """() => {
              const dataTransfer = new DataTransfer();
              const event = new DragEvent("dragstart", { dataTransfer, cancelable: true });
              document.querySelector("#midi-file").dispatchEvent(event);
              document.querySelector("#midi-file").dispatchEvent(new DragEvent("dragend"));
              return dataTransfer.getData("DownloadURL").match(/^(.*?):(.*?):(.*)$/).slice(1);
            }"""
        )
        assert kind == "audio/midi"
        if url.startswith("http"):
            with urllib.request.urlopen(url) as response:
                return response.read()
        return bytes(self.run("[...new Uint8Array(await studio.files.file.blob.arrayBuffer())]"))


def hits_of(groove: dict[str, Any]) -> list[tuple[float, int, int]]:
    hits = groove["hits"]
    return sorted((round(hit["beat"], 4), hit["drum"], hit["velocity"]) for hit in hits)
