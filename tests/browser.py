"""Helpers for the tests of web pages: headless Chromium, and measures of a page."""

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PHONE = {"width": 390, "height": 844}
MIN_CONTRAST = 4.5  # WCAG 2, level AA

# Returns the contrast of each text with its background, as [ratio, text], lowest first.
CONTRASTS = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    throw new Error("no background");
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { textContent, parentElement: element } = walker.currentNode;
    if (!textContent.trim() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const colour = rgb(element instanceof SVGElement ? style.fill : style.color);
    const [a, b] = [luminance(colour), luminance(background(element))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), textContent.trim()]);
  }
  return found.sort((x, y) => x[0] - y[0]);
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """Launch the browser; skip the test where it or playwright is not installed."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser found ({', '.join(BROWSERS)})")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


def _new_tab(browser: Any, script: str, **options: Any) -> Any:
    page = browser.new_page(**options)
    page.add_init_script(script)
    return page


# Loading a site in a used tab takes less than half the CPU time of a new tab.
shared_tab = functools.cache(_new_tab)


@contextlib.contextmanager
def listening_tab(
    browser: Any, script: str, listeners: dict[str, Callable[[Any], None]], **options: Any
) -> Iterator[Any]:
    """Yield the tab of all tests without options, or a new one, with listeners to its events.

    Args:
      browser: Of the fixture of this name.
      script: Runs before those of a page.
      listeners: By the event's name.
      **options: Of a new tab, such as `viewport`.
    """
    page = _new_tab(browser, script, **options) if options else shared_tab(browser, script)
    for event, listener in listeners.items():
        page.on(event, listener)
    try:
        yield page
    finally:
        for event, listener in listeners.items():
            page.remove_listener(event, listener)
        if options:
            page.close()
        else:
            page.emulate_media(color_scheme="light")  # the default, which a test may have changed
