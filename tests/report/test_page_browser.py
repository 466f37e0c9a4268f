"""The report page in headless Chromium."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import CONTRASTS, MIN_CONTRAST, PHONE, listening_tab
from make_study import HOSTILE, hostile_page, large_page, shared_study, small_page

from groovae.evaluation.study import Study
from groovae.music.sound import RING_SECONDS
from groovae.report import rolls

pytestmark = pytest.mark.usefixtures("equal_batches")

# Lets tests find the page's AudioContexts.
SPY = """
window.contexts = [];
window.AudioContext = class extends AudioContext {
  constructor() { super(); window.contexts.push(this); }
};
"""


@pytest.fixture(scope="module")
def study(equal_batches: None, request: pytest.FixtureRequest) -> Study:
    return shared_study(request)


@pytest.fixture(scope="module")
def few(study: Study, shared_folder: Path) -> Path:
    return small_page(study, shared_folder)


@pytest.fixture(scope="module")
def large(study: Study, shared_folder: Path) -> Path:
    return large_page(study, shared_folder)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; checks at the end that it logged nothing and made no other request."""
    unexpected: list[str] = []

    def open_it(path: Path, **options: Any) -> Any:
        def check_request(request: Any) -> None:
            if request.url != path.as_uri() and not request.url.startswith("data:"):
                unexpected.append(request.url)

        listeners = {
            "console": lambda message: unexpected.append(message.text),
            "pageerror": lambda error: unexpected.append(str(error)),
            "dialog": lambda dialog: unexpected.append(dialog.message),
            "request": check_request,
        }
        page = tabs.enter_context(listening_tab(browser, SPY, listeners, **options))
        page.goto(path.as_uri())
        return page

    with contextlib.ExitStack() as tabs:
        yield open_it
    assert unexpected == []


def wait_for(page: Any, condition: str) -> None:
    """Polls an expression; the page's policy forbids playwright's wait_for_function."""
    for _ in range(600):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never true: {condition}")


def width_of(page: Any) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def unfold(page: Any) -> None:
    # By keyboard: unfolding moves the content below away from the mouse.
    for summary in page.locator("summary").all():
        summary.press("Enter")
    wait_for(page, "!document.querySelector('details template')")


def is_playing(page: Any, card: int) -> bool:
    return page.locator(".card audio").nth(card).evaluate("audio => !audio.paused")


def selected_file(page: Any) -> str:
    return page.locator("#point-file").inner_text()


def click_point(page: Any, number: int) -> None:
    point = page.locator("#map-points use").nth(number)
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def wait_for_sound(page: Any) -> None:
    wait_for(
        page,
        "contexts.length === 1 && contexts[0].state === 'running' && contexts[0].currentTime > 0",
    )
    page.wait_for_selector("#point .playing")


def assert_durations_match(page: Any, count: int) -> None:
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


def test_sound_durations(few: Path, open_page: Callable[..., Any]) -> None:
    assert_durations_match(open_page(few), 4 + 3 + 3)


def test_clicks_start_switch_and_stop_playback_and_sounds_end(
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
    buttons.nth(0).click()
    page.wait_for_selector(".playing")
    audio = page.locator(".card audio").nth(0)
    audio.evaluate("audio => { audio.currentTime = audio.duration - 0.1; }")
    wait_for(page, "!document.querySelector('.playing')")
    assert not is_playing(page, 0)


def test_unfolded_samples_play(large: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(large)
    assert page.locator("#samples .card").count() < 10
    unfold(page)
    assert page.locator("#samples .card").count() == 100
    assert_durations_match(page, 10 + 100 + 3)
    page.locator("#samples .play").nth(99).click()
    wait_for(page, "document.querySelectorAll('#samples audio')[99].currentTime > 0.1")


def test_clicking_a_point_shows_and_plays_its_window(
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
    wait_for_sound(page)
    assert not is_playing(page, 0)
    source = study.sources[alone]
    assert selected_file(page) == source.filename
    assert page.locator("#point-bar").inner_text() == str(source.first_bar + 1)
    assert page.locator("#point-tempo").inner_text() == f"{source.tempo_qpm:.4g} bpm"
    page.locator("#point-play").click()
    assert page.locator(".playing").count() == 0


def test_map_by_keyboard(study: Study, few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    wait_for_sound(page)
    assert selected_file(page) == study.sources[0].filename
    tabbable = "document.querySelectorAll('#map-points [tabindex=\"0\"]').length"
    label = "document.activeElement.getAttribute('aria-label')"
    before = page.evaluate(label)
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("Space")
    assert page.evaluate(tabbable) == 1
    assert selected_file(page) in page.evaluate(label)
    assert study.sources[0].filename in before
    page.wait_for_selector("#point .playing")


def test_focus_and_selection_are_separate(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    place = "['cx', 'cy'].map(name => document.getElementById('{}').getAttribute(name)).join()"
    selected, focused = (place.format(name) for name in ("selected-point", "focused-point"))
    hidden = "document.getElementById('focused-point').hasAttribute('visibility')"
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    before = page.evaluate(selected)
    assert page.evaluate(focused) == before
    for key in ("ArrowLeft", "ArrowRight"):
        if page.evaluate(focused) == before:
            page.keyboard.press(key)
    assert page.evaluate(selected) == before != page.evaluate(focused)
    assert not page.evaluate(hidden)
    click_point(page, 5)
    assert page.evaluate(selected) != before
    assert page.evaluate(hidden)


def test_script_draws_rolls_like_python(
    study: Study, few: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(few)
    page.locator("#map-points use").nth(4).focus()
    page.keyboard.press("Enter")
    for name, windows in (("original", study.reference), ("reconstruction", study.predictions)):
        page.get_by_label(name, exact=True).check()
        drawn = page.evaluate(
            """() => Object.fromEntries([...document.querySelectorAll("#point-roll path")]
              .map(path => [path.getAttribute("class"), path.getAttribute("d")]))"""
        )
        expected = rolls.roll(windows[4])
        for _, lateness in rolls.LATENESS_CLASSES:
            wanted = expected.partition(f'class="{lateness}" d="')[2].partition('"')[0]
            assert drawn[lateness].count("M") == wanted.count("M")
        label = page.locator("#point-roll").get_attribute("aria-label")
        original = study.reference[4] if name == "reconstruction" else None
        assert label == rolls.describe(windows[4], original)
    assert sum(d.count("M") for d in drawn.values()) == (study.predictions[4, :, :9] > 0.5).sum()


def test_style_can_be_highlighted(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    button = page.locator(".styles button").nth(0)
    count = int(button.locator("small").inner_text())
    total = page.locator("#map-points use").count()
    button.click()
    assert page.locator("#map-points .dimmed").count() == total - count
    button.click()
    assert page.locator("#map-points .dimmed").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_contrast(scheme: str, few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few, color_scheme=scheme)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 200
    assert found[0][0] >= MIN_CONTRAST, found[0]
    is_dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, is_dark[4:-1].split(","))) < 384) == (scheme == "dark")


@pytest.mark.parametrize("name", ["few", "large"])
def test_page_fits_a_phone(
    name: str, open_page: Callable[..., Any], request: pytest.FixtureRequest
) -> None:
    page = open_page(request.getfixturevalue(name), viewport=PHONE)
    if name == "large":
        unfold(page)
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    assert width_of(page) <= PHONE["width"]
    sizes = page.eval_on_selector_all(
        ".play",
        "all => all.map(e => e.getBoundingClientRect()).flatMap(box => [box.width, box.height])",
    )
    assert len(sizes) > 20
    assert min(sizes) >= 44


def test_playhead_with_reduced_motion(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few, reduced_motion="reduce")
    page.locator(".card .play").nth(0).click()
    wait_for(page, "Number(document.querySelector('.playing')?.style.getPropertyValue('--at')) > 0")


def test_buttons_and_images_are_labelled(few: Path, open_page: Callable[..., Any]) -> None:
    page = open_page(few)
    names = page.eval_on_selector_all(
        "button, [role=img], [role=region], [role=group], audio + span",
        "all => all.map(e => (e.getAttribute('aria-label') || e.textContent).trim())",
    )
    assert len(names) > 30
    assert all(names)
    labels = [name for name in names if name.startswith("Play ")]
    assert len(labels) == len(set(labels))


def test_page_without_sound_shows_windows_and_escapes_names(
    study: Study, shared_folder: Path, open_page: Callable[..., Any]
) -> None:
    page = open_page(hostile_page(study, shared_folder))
    assert page.locator(".play").count() == 0
    page.locator("#map-points use").nth(0).focus()
    page.keyboard.press("Enter")
    assert selected_file(page) == HOSTILE
    assert page.locator("img").count() == 0
    assert page.evaluate("contexts.length") == 0
