"""The page of an exported model in headless Chromium, served as by `groovae serve`.

The model runs in the real @magenta/music, from a copy beside the page; see tests/web_export.py.
"""

import functools
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import CONTRASTS, MIN_CONTRAST, PHONE, shared_tab
from conftest import SMALL_HPARAMS, a_groove
from web_export import magenta_js_file, served
from web_page import (
    SCRIPT,
    OpenPage,
    cells_of,
    checked_pages,
    hits_in,
    set_slider,
    wait_for_name,
    write_midi,
)

from groovae.export import magentajs
from groovae.music.drums import GM
from groovae.upstream import note_seq

SHARD = "group1-shard1of1.bin"

# Returns the error of loading a model, if any.
LOAD = """async (url) => {
  const { Model } = await import(`${url}/model.js`);
  return Model.load(url).then(() => "no error", ({ message }) => message);
}"""

# Returns the peak of the sound of each hit.
PEAKS = """async ([url, hits]) => {
  const { Player } = await import(url);
  const player = new Player(16);
  player.setTempo(240);
  const peaks = [];
  for (const [drum, velocity] of hits) {
    player.hits = [{ step: 0, drum, velocity, late: 0 }];
    await player.start();
    while (player.position < 2) await new Promise((wake) => setTimeout(wake, 5));
    peaks.push(loudness());
    player.stop();
  }
  return peaks;
}"""


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    with checked_pages(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def site(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the page of the native model."""
    folder = tmp_path_factory.mktemp("page") / "web"
    script = magenta_js_file()
    magentajs.export(native / "checkpoint", folder, hparams=SMALL_HPARAMS, magenta_js=script)
    with served(folder) as url:
        yield url


# Grooves


def test_new_grooves_are_different_and_described(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1)
    seen = []
    for number in (3, 4, 5):
        page.locator("#generate").click()
        wait_for_name(page, f"Groove {number}")
        seen.append(hits_in(page))
        summary = page.locator("#summary").inner_text()
        assert summary.startswith(f"{len(seen[-1])} hits in 4 bars: ")
        assert page.locator("#roll").get_attribute("aria-label") == summary
        assert page.locator("#live").inner_text() == f"Groove {number}. {summary}"
    assert all(len(hits) > 10 for hits in seen)
    assert seen[0] != seen[1] != seen[2]


def test_temperature_changes_density_and_download_has_the_hits_shown(
    site: str, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(site)
    seen = []
    for temperature in (0, 0.5, 1, 1.5, 0.5):
        set_slider(page, "temperature", temperature)
        seen.append(hits_in(page))
        assert page.locator("#temperature-value").inner_text() == f"{temperature:.2f}"
    assert len(seen[0]) < len(seen[2]) < len(seen[3])
    assert seen[1] == seen[4]
    set_slider(page, "temperature", 1.2)
    set_slider(page, "tempo", 93)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "groove-1.mid"
    download.value.save_as(tmp_path / "groove.mid")
    sequence = note_seq.midi_file_to_note_sequence(str(tmp_path / "groove.mid"))
    assert sequence.tempos[0].qpm == pytest.approx(93, abs=1e-3)
    meter = sequence.time_signatures[0]
    assert (meter.numerator, meter.denominator) == (4, 4)
    assert all(note.is_drum for note in sequence.notes)
    hits = hits_in(page)
    step_seconds = 60 / 93 / 4
    early = max(0.0, -hits[0].time) * step_seconds
    notes = sorted((note.pitch, note.start_time, note.velocity) for note in sequence.notes)
    expected = sorted(
        (GM[hit.drum][0], hit.time * step_seconds + early, hit.velocity) for hit in hits
    )
    assert len(notes) > 20
    np.testing.assert_allclose(notes, expected, rtol=0, atol=1e-3)


def test_variations_start_from_the_locked_groove(site: str, open_page: OpenPage) -> None:
    page, seen = open_page(site), []
    back = page.locator("#back")
    set_slider(page, "temperature", 1)
    groove = hits_in(page)
    assert back.get_attribute("aria-disabled") == "true"
    for number, is_locked in ((1, True), (2, True), (3, False)):
        page.locator("#lock").set_checked(is_locked)
        page.evaluate("seed(7)")  # the same direction for all
        page.locator("#vary").click()
        wait_for_name(page, f"Variation {number} of Groove 1")
        assert page.locator("#locked").inner_text() == "Groove 1"
        seen.append(hits_in(page))
    assert groove != seen[0] == seen[1] != seen[2]
    back.press("Enter")
    wait_for_name(page, "Groove 1")
    assert hits_in(page) == groove
    assert page.evaluate("document.activeElement.id") == "back"  # although it is disabled again
    assert back.get_attribute("aria-disabled") == "true"
    page.locator("#lock").check()
    changes = []
    for number, amount in ((1, 0.05), (2, 1)):
        set_slider(page, "amount", amount)
        page.evaluate("seed(7)")
        page.locator("#vary").click()
        wait_for_name(page, f"Variation {number} of Groove 1")
        changes.append(len(cells_of(hits_in(page)) ^ cells_of(groove)))
    assert changes[0] < changes[1]


def test_interpolation_starts_and_ends_with_the_kept_grooves(
    site: str, open_page: OpenPage
) -> None:
    page = open_page(site)
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    page.locator("#keep-b").click()
    assert page.locator("#about-b").inner_text() == "Groove 3"
    a, b = hits_in(page, "#roll-a"), hits_in(page, "#roll-b")
    assert b == hits_in(page)
    seen = []
    for share in (0.5, 0, 1):
        set_slider(page, "share", share)
        seen.append(hits_in(page))
    assert seen[1:] == [a, b]
    assert seen[0] not in (a, b)
    assert page.locator("#share").get_attribute("aria-valuetext") == "100 %"


# Playback


def test_playback_moves_the_playhead(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1.5)
    position = "Number(document.querySelector('#field').style.getPropertyValue('--at'))"
    page.locator("#play").click()
    page.wait_for_function(f"{position} > 0.02")
    page.wait_for_selector(".lanes .struck")
    page.wait_for_function("loudness() > 0.05")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    before = page.evaluate(position)
    set_slider(page, "tempo", 220)
    page.wait_for_function(f"{position} > {before + 0.05}")
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    assert page.locator(".playing").count() == 1
    page.locator("#play").click()
    page.wait_for_function("!document.querySelector('.playing, .struck')")
    assert page.evaluate(position) <= 1
    page.wait_for_function("loudness() < 1e-4")


# Accessibility


def test_controls_have_names_and_text_has_contrast(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of Groove 1")
    tree = page.locator("body").aria_snapshot()
    controls = re.findall(r"- (?:button|slider|checkbox|radio|combobox|img|region)\b.*", tree)
    assert len(controls) > 10
    assert [control for control in controls if '"' not in control] == []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate("Promise.all(document.getAnimations().map(({ finished }) => finished))")
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 40
        assert contrasts[0][0] >= MIN_CONTRAST, (scheme, contrasts[0])


def test_keyboard_controls_and_sound_of_each_drum(site: str, open_page: OpenPage) -> None:
    page = open_page(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    order = []
    for _ in range(9):
        order.append(page.evaluate("document.activeElement.id"))
        page.keyboard.press("Tab")
    first = order.index("download")
    assert order[first : first + 6] == [
        *("download", "temperature", "tempo", "amount", "lock", "vary"),
    ]
    page.locator("#temperature").focus()
    page.keyboard.press("End")
    assert page.locator("#temperature-value").inner_text() == "1.50"
    page.locator("#generate").focus()
    page.keyboard.press("Enter")
    wait_for_name(page, "Groove 3")
    page.locator("#play").focus()
    page.keyboard.press("Space")
    page.wait_for_selector(".playing")
    page.keyboard.press("Space")
    page.wait_for_selector(".playing", state="detached")
    hits = [*((drum, 127) for drum in range(9)), (0, 30)]
    *loud, soft = page.evaluate(PEAKS, [f"{site}/player.js", hits])
    assert min(loud) > 0.01
    assert 0.001 < soft < loud[0] / 2


def test_phone(site: str, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(site, viewport=PHONE, has_touch=True)
    path = write_midi(a_groove(), tmp_path / f"{'long_name_' * 12}.mid")
    page.locator("#file").set_input_files(path)
    page.wait_for_selector("#dropped:not([hidden])")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for control in page.locator("button, select").all():
        box = control.bounding_box()
        assert min(box["width"], box["height"]) >= 44
    page.locator("#midi-panel").scroll_into_view_if_needed()
    page.locator("#play").click()
    page.wait_for_function("document.querySelector('#viewport').scrollLeft > 0")
    assert page.locator("#stage").bounding_box()["y"] >= 0
    page.set_viewport_size({"width": 320, "height": 640})
    for control in page.locator("button:not(.end), #drop, .slider span").all():
        box = control.bounding_box()
        assert box["x"] + box["width"] <= 320 - 16
        assert box["height"] < (100 if control.get_attribute("id") == "drop" else 48)
    assert re.fullmatch(r"\w+,\s+step [\d,]+", page.locator("h1").inner_text())


# Errors, and configs of other versions


def fulfill(answer: dict[str, Any], route: Any) -> None:
    route.fulfill(**answer)


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    tab = shared_tab(browser, SCRIPT)
    yield tab
    tab.unroute_all()


def open_with(tab: Any, site: str, file_url: str, **answer: Any) -> None:
    """Open the page with another answer to the request for a file."""
    tab.unroute_all()
    tab.route(file_url, functools.partial(fulfill, answer))
    tab.goto(f"{site}/")


@pytest.fixture
def config(site: str) -> Any:
    with urllib.request.urlopen(f"{site}/config.json") as response:
        return json.load(response)


def test_magenta_js_from_the_network_must_match_its_hash(
    native: Path, tab: Any, tmp_path: Path
) -> None:
    magentajs.export(native / "checkpoint", tmp_path / "web", hparams=SMALL_HPARAMS)
    script = magenta_js_file().read_bytes()
    with served(tmp_path / "web") as url:
        for content, ready in (
            (script, "#app:not([hidden])"),
            (script + b" ", "#status:has-text('did not load')"),
        ):
            open_with(
                *(tab, url, magentajs.MAGENTA_JS_URL),
                body=content,
                content_type="text/javascript",
                headers={"Access-Control-Allow-Origin": "*"},
            )
            tab.wait_for_selector(ready)


def test_missing_file_or_wrong_weights_are_an_error(site: str, tab: Any, config: Any) -> None:
    other_model = config | {"extraControls": [{"name": "hits", "depth": 9}]}
    for name, answer, words in (
        ("config.json", {"status": 404}, "config.json: .* 404; export it again"),
        ("config.json", {"json": other_model}, "; export it again"),
        ("magentamusic.js", {"status": 404}, "/magentamusic.js; .*--magenta_js=PATH"),
    ):
        open_with(tab, site, f"{site}/{name}", **answer)
        tab.wait_for_selector("#status:has-text('could not be loaded')")
        status = tab.locator("#status").inner_text()
        assert re.search(words, status)
        assert "\n" not in status
        assert tab.locator("#app").is_hidden()


def test_unknown_task_is_treated_as_none(site: str, tab: Any, config: Any) -> None:
    config["groovae"]["task"] = "dance"
    open_with(tab, site, f"{site}/config.json", json=config)
    tab.wait_for_selector("#about-b:not(:empty)")
    assert tab.locator("#midi-note").inner_text().startswith("The model describes")


def test_invalid_file_of_the_model_is_named(site: str, tab: Any, config: Any) -> None:
    tab.goto(f"{site}/")
    with urllib.request.urlopen(f"{site}/{SHARD}") as response:
        size = len(response.read())
    config["dataConverter"]["args"]["numSteps"] = 40
    for name, answer, words in (
        (SHARD, {"status": 404}, f"{SHARD}: .* 404"),
        (SHARD, {"body": bytes(8)}, f"{SHARD}: 8 bytes .* {size}$"),
        (SHARD, {"body": bytes(size + 4)}, f"{SHARD}: {size + 4} bytes .* {size}$"),
        (magentajs.MANIFEST, {"status": 404}, "weights_manifest.json: .* 404"),
        (magentajs.MANIFEST, {"body": "<html>"}, "weights_manifest.json: Unexpected token"),
        ("config.json", {"json": config}, "config.json: numSteps is 40"),
    ):
        tab.route(f"{site}/{name}", functools.partial(fulfill, answer))
        assert re.match(words, tab.evaluate(LOAD, site))
        tab.unroute(f"{site}/{name}")
