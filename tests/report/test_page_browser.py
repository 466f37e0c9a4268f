"""The report page in a real browser: headless Chromium, which must be there for these tests."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import BROWSERS, CONTRASTS, MIN_CONTRAST, PHONE
from make_study import page_of_a_hundred, small, study_of, with_file

from groovae.errors import GroovaeError
from groovae.evaluation.study import Study
from groovae.music.sound import RING_SECONDS
from groovae.report import ReportOptions, encoding, rolls, write

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

HOSTILE = "<img src=x onerror=alert(1)>.mid"

# Keeps the page's AudioContexts where a test finds them.
SPY = """
window.contexts = [];
window.AudioContext = class extends AudioContext {
  constructor() { super(); window.contexts.push(this); }
};
"""


@pytest.fixture(scope="module")
def study(trained: Path, records: Path) -> Study:
    return study_of(trained, records)


@pytest.fixture(scope="module")
def few(study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("few") / "report.html"
    write(path, small(study, 3), options=ReportOptions(num_pairs=2))
    return path


@pytest.fixture(scope="module")
def many(study: Study, shared_folder: Path) -> Path:
    return page_of_a_hundred(study, shared_folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"no browser found ({', '.join(BROWSERS)})")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; at the end, it must have said nothing and asked for nothing but itself."""
    pages, told = [], []

    def open_it(path: Path, **options: Any) -> Any:
        page = browser.new_page(**options)
        pages.append(page)
        page.add_init_script(SPY)
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.on("dialog", lambda dialog: told.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                None
                if request.url == path.as_uri() or request.url.startswith("data:")
                else told.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        return page

    yield open_it
    for page in pages:
        page.close()
    assert told == []


def wait_for(page: Any, condition: str) -> None:
    """Waits until an expression is true; playwright's own way needs what the page's policy bans."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}")


def width_of(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def unfold(page: Any) -> None:
    # By the keyboard: what unfolds moves what lies below, away from a mouse on its way.
    for summary in page.locator("summary").all():
        summary.press("Enter")
    wait_for(page, "!document.querySelector('details template')")


def is_playing(page: Any, card: int) -> bool:
    return page.locator(".card audio").nth(card).evaluate("audio => !audio.paused")


def chosen_file(page: Any) -> str:
    return page.locator("#point-file").inner_text()


def click_point(page: Any, number: int) -> None:
    point = page.locator("#map-points use").nth(number)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def wait_until_it_sounds(page: Any) -> None:
    wait_for(
        page,
        "contexts.length === 1 && contexts[0].state === 'running' && contexts[0].currentTime > 0",
    )
    page.wait_for_selector("#point .playing")


def assert_as_long_as_their_grooves(page: Any, count: int) -> None:
    wait_for(page, "[...document.querySelectorAll('audio')].every(audio => audio.readyState > 0)")
    lengths = page.eval_on_selector_all(
        ".card",
        """cards => cards.map(card => [
          card.querySelector("audio").duration,
          Number(card.dataset.seconds) + Number(card.dataset.lead),
        ])""",
    )
    assert len(lengths) == count
    for duration, seconds in lengths:
        assert duration == pytest.approx(seconds + RING_SECONDS, abs=0.01)


def test_every_sound_is_as_long_as_its_groove(few: Path, open_page: Callable[..., Any]) -> None:
    assert_as_long_as_their_grooves(open_page(few), 4 + 3 + 3)


def test_a_click_plays_and_another_one_plays_that_instead(
    few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    buttons = page.locator(".card .play")
    buttons.nth(0).click()
    wait_for(page, "document.querySelectorAll('.card audio')[0].currentTime > 0.1")
    assert page.locator(".card .playing").count() == 1
    assert float(page.locator(".playing").evaluate("e => e.style.getPropertyValue('--at')")) > 0
    buttons.nth(3).click()
    wait_for(page, "document.querySelectorAll('.card audio')[3].currentTime > 0.1")
    assert [is_playing(page, card) for card in (0, 3)] == [False, True]
    assert [buttons.nth(i).get_attribute("aria-pressed") for i in (0, 3)] == ["false", "true"]
    buttons.nth(3).click()
    assert not is_playing(page, 3)
    assert page.locator(".playing").count() == 0


def test_what_was_folded_away_plays(many: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(many)
    assert page.locator("#samples .card").count() < 10
    unfold(page)
    assert page.locator("#samples .card").count() == 100
    assert_as_long_as_their_grooves(page, 10 + 100 + 3)
    page.locator("#samples .play").nth(99).click()
    wait_for(page, "document.querySelectorAll('#samples audio')[99].currentTime > 0.1")


def test_a_sound_that_has_ended_leaves_the_page_at_rest(
    few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    page.locator(".card .play").nth(0).click()
    page.wait_for_selector(".playing")
    audio = page.locator(".card audio").nth(0)
    audio.evaluate("audio => { audio.currentTime = audio.duration - 0.1; }")
    wait_for(page, "!document.querySelector('.playing')")
    assert not is_playing(page, 0)


def test_a_click_on_the_map_shows_and_plays_the_window(
    study: Study, few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    places = page.eval_on_selector_all(
        "#map-points use", "all => all.map(use => [use.x.baseVal.value, use.y.baseVal.value])"
    )
    alone = max(
        range(len(places)),
        key=lambda i: min(
            abs(places[i][0] - x) + abs(places[i][1] - y)
            for j, (x, y) in enumerate(places)
            if j != i
        ),
    )
    page.locator(".card .play").nth(0).click()
    page.wait_for_selector(".card .playing")
    click_point(page, alone)
    wait_until_it_sounds(page)
    assert not is_playing(page, 0)
    source = study.sources[alone]
    assert chosen_file(page) == source.filename
    assert page.locator("#point-bar").inner_text() == str(source.first_bar + 1)
    assert page.locator("#point-tempo").inner_text() == f"{source.tempo_qpm:.4g} bpm"
    page.locator("#point-play").click()
    assert page.locator(".playing").count() == 0


def test_the_map_is_played_by_keys_alone(
    study: Study, few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    wait_until_it_sounds(page)
    assert chosen_file(page) == study.sources[0].filename
    tabbable = "document.querySelectorAll('#map-points [tabindex=\"0\"]').length"
    label = "document.activeElement.getAttribute('aria-label')"
    before = page.evaluate(label)
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Space")
    assert page.evaluate(tabbable) == 1
    assert chosen_file(page) in page.evaluate(label)
    assert study.sources[0].filename in before
    page.wait_for_selector("#point .playing")


def test_the_point_in_focus_is_not_the_chosen_one(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    place = "['cx', 'cy'].map(name => document.getElementById('{}').getAttribute(name)).join()"
    chosen, focused = (place.format(name) for name in ("chosen-point", "focused-point"))
    hidden = "document.getElementById('focused-point').hasAttribute('visibility')"
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    before = page.evaluate(chosen)
    assert page.evaluate(focused) == before
    for key in ("ArrowLeft", "ArrowRight"):
        if page.evaluate(focused) == before:
            page.keyboard.press(key)
    assert page.evaluate(chosen) == before != page.evaluate(focused)
    assert not page.evaluate(hidden)
    click_point(page, 5)
    assert page.evaluate(chosen) != before
    assert page.evaluate(hidden)


def test_the_rolls_of_the_map_are_those_of_the_page(
    study: Study, few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    page.locator("#map-points use").nth(4).focus()
    page.keyboard.press("Enter")
    for name, windows in (("original", study.reference), ("reconstruction", study.estimate)):
        page.get_by_label(name, exact=True).check()
        drawn = page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#point-roll path")]
              .map(path => [path.getAttribute("class"), path.getAttribute("d")]))"""
        )
        expected = rolls.roll(windows[4])
        for _, feel in rolls.FEELS:
            wanted = expected.partition(f'class="{feel}" d="')[2].partition('"')[0]
            assert drawn[feel].count("M") == wanted.count("M")
        label = page.locator("#point-roll").get_attribute("aria-label")
        original = study.reference[4] if name == "reconstruction" else None
        assert label == rolls.describe(windows[4], original)
    assert sum(d.count("M") for d in drawn.values()) == (study.estimate[4, :, :9] > 0.5).sum()


def test_a_style_can_be_brought_out(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    button = page.locator(".styles button").nth(0)
    count = int(button.locator("small").inner_text())
    total = page.locator("#map-points use").count()
    button.click()
    assert page.locator("#map-points .away").count() == total - count
    button.click()
    assert page.locator("#map-points .away").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(scheme: str, few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few, color_scheme=scheme)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 200
    assert found[0][0] >= MIN_CONTRAST, found[0]
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, is_dark[4:-1].split(","))) < 384) == (scheme == "dark")


@pytest.mark.parametrize("name", ["few", "many"])
def test_a_phone_need_not_scroll_sideways(
    name: str, open_page: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = open_page(request.getfixturevalue(name), viewport=PHONE)
    if name == "many":
        unfold(page)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    assert width_of(page) <= PHONE["width"]
    for button in page.locator(".play").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44


def test_who_wants_no_motion_hears_the_same(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few, reduced_motion="reduce")
    page.locator(".card .play").nth(0).click()
    wait_for(page, "Number(document.querySelector('.playing')?.style.getPropertyValue('--at')) > 0")


def test_every_button_and_picture_has_a_name(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    names = page.eval_on_selector_all(
        "button, [role=img], [role=region], [role=group], audio + span",
        "all => all.map(e => (e.getAttribute('aria-label') || e.textContent).trim())",
    )
    assert len(names) > 30
    assert all(names)
    labels = [name for name in names if name.startswith("Play ")]
    assert len(labels) == len(set(labels))


def test_a_file_name_is_shown_as_it_is(
    study: Study, tmp_path: Path, open_page: Callable[..., Any]
) -> None:
    hostile = with_file(small(study, 3), HOSTILE)
    write(tmp_path / "report.html", hostile, options=ReportOptions(num_pairs=1))
    page = open_page(tmp_path / "report.html")
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    assert chosen_file(page) == HOSTILE
    assert page.locator("img").count() == 0


def test_a_page_without_sound_still_shows_the_windows(
    study: Study, tmp_path: Path, open_page: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(soundfont: Any = None) -> str:
        raise GroovaeError("no synthesizer here")

    monkeypatch.setattr(encoding, "check_ready", missing)
    write(tmp_path / "report.html", small(study, 3), options=ReportOptions(num_pairs=1))
    page = open_page(tmp_path / "report.html")
    assert page.locator(".play").count() == 0
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    assert chosen_file(page) == study.sources[0].filename
    assert page.evaluate("contexts.length") == 0
