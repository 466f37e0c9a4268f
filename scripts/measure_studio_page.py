"""Measure the page of `groovae studio` in headless Chromium, with the bundled models.

    python scripts/measure_studio_page.py

Starts the studio and prints
- the milliseconds from opening the page until its first groove is shown and can be edited, the
  median of 5 loads;
- the grooves a second that are shown while the pointer moves over the map, for 5 seconds;
- the milliseconds from a key that is pressed while taps are recorded to the start of its sound, the
  median and the slowest of 20, without the latency of the audio device.

It needs playwright and Chromium, and takes a minute.
"""

import shutil
import statistics
import time
from typing import Any

from measure_studio import SETTLE_SECONDS, running_studio
from playwright.sync_api import sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOADS, KEYS = 5, 20

# Moves the pointer over the map in each frame, and counts the grooves shown.
MAP = """async () => {
  const { studio } = await import("./main.js");
  const map = document.getElementById("map");
  const box = map.getBoundingClientRect();
  map.setPointerCapture = () => {};
  map.hasPointerCapture = () => true;
  const send = (type, x, y) => map.dispatchEvent(new PointerEvent(type, {
    clientX: box.x + box.width * x, clientY: box.y + box.height * y, buttons: 1, pointerId: 1,
  }));
  const frame = () => new Promise(requestAnimationFrame);
  const shown = new Set();
  studio.store.addEventListener("groove", () => shown.add(studio.store.groove));
  send("pointerdown", 0.5, 0.5);
  const start = performance.now();
  for (let ms = 0; ms < 5000; ms = performance.now() - start) {
    send("pointermove", 0.5 + 0.3 * Math.sin(ms / 400), 0.5 + 0.3 * Math.cos(ms / 330));
    await frame();
  }
  return shown.size / 5;
}"""

# Notes when the sound of each key was scheduled: `node.start()` without a time is at once.
TAPS = """async () => {
  const { studio } = await import("./main.js");
  globalThis.taps = [];
  const { audio, recorder } = studio;
  const hit = audio.hit.bind(audio);
  audio.hit = (...args) => {
    hit(...args);
    if (args.length === 1 && event) taps.push(performance.now() - event.timeStamp);
  };
  let event = null;
  window.addEventListener("keydown", (now) => { event = now; }, { capture: true });
  globalThis.latencies = () => ({
    taps, base: audio.context.baseLatency * 1000, output: audio.context.outputLatency * 1000,
  });
}"""


def main() -> None:
    with running_studio() as (url, _), sync_playwright() as driver:
        time.sleep(SETTLE_SECONDS)
        _measure(driver, url)


def _measure(driver: Any, url: str) -> None:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
    times = [_load_ms(browser, url) for _ in range(LOADS)]
    print(f"first groove: {statistics.median(times):.0f} ms")
    page = _open(browser, url)
    page.keyboard.press("9")
    page.wait_for_timeout(1000)
    print(f"map: {page.evaluate(MAP):.0f} grooves a second")
    _measure_taps(page)
    browser.close()


def _open(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(url)
    page.wait_for_selector("body[data-ready]")
    return page


def _load_ms(browser: Any, url: str) -> float:
    page = _open(browser, url)
    milliseconds = page.evaluate("performance.getEntriesByName('ready')[0].startTime")
    page.close()
    return float(milliseconds)


def _measure_taps(page: Any) -> None:
    page.wait_for_timeout(2000)  # for the sounds
    page.evaluate(TAPS)
    page.keyboard.press("5")
    page.keyboard.press("g")
    page.wait_for_timeout(2500)  # a bar of count-in
    for _ in range(KEYS):
        page.keyboard.press("j")
        page.wait_for_timeout(90)
    found = page.evaluate("latencies()")
    taps = found["taps"][-KEYS:]
    print(f"tap: {statistics.median(taps):.1f} ms, at most {max(taps):.1f} ms, of {len(taps)}")
    print(f"browser's buffer: {found['base']:.1f} ms; device: {found['output']:.1f} ms")


if __name__ == "__main__":
    main()
