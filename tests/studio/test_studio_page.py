"""The page of the studio in headless Chromium: each function by mouse and by keyboard."""

import base64
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import make_midi
import pytest
from browser import PHONE
from studio_page import StudioPage, hits_of, serve_studio
from web_export import npm_package

from groovae.studio import files
from groovae.studio.server import STATIC, StudioServer

pytest.importorskip("onnxruntime")

FUNK = "#tool=sample&seed=7&styles=funk:1&temperature=0.5&density=-0.05&bars=4&tempo_qpm=96"
KICK, SNARE, HIHAT = 0, 1, 2
MAX_PAGE_BYTES = 300_000

# Drops a file on an element, as from a desktop.
DROP = """([selector, name, content]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], name, { type: "audio/midi" }));
  for (const type of ["dragenter", "dragover", "drop"]) {
    const options = { dataTransfer, bubbles: true, cancelable: true };
    document.querySelector(selector).dispatchEvent(new DragEvent(type, options));
  }
}"""


# Keeps the state and the settings of the page, and returns to them.
REMEMBER = """globalThis.start = {
  entry: { ...studio.store.entry, isMade: true },
  settings: [...studio.tools.kept.keys()].map((task) => [task, studio.tools.settings(task)]),
}"""
RESET = """(() => {
  studio.player.stop();
  Object.assign(studio.player, { hasClick: false, hasCountIn: false });
  studio.transport.isLooping = false;
  studio.editor.select(null, null);
  Object.assign(studio.editor, { velocity: 90, cursor: { drum: 0, step: 0 } });
  for (const [task, values] of start.settings) studio.tools.fill(task, values);
  studio.tools.open("sample");
  studio.view.setZoom(1);
  studio.say("");
  studio.setLanguage("en");
  document.activeElement.blur();
  studio.store.restore({ entries: [start.entry], index: 0 });
})()"""


@pytest.fixture(scope="module")
def server() -> Iterator[StudioServer]:
    with serve_studio() as server:
        yield server


@pytest.fixture(scope="module")
def shared(browser: Any, server: StudioServer) -> Iterator[StudioPage]:
    options = {"viewport": {"width": 1280, "height": 900}}
    studio = StudioPage(browser, server.url, **options)
    studio.open(FUNK)
    studio.run(REMEMBER)
    yield studio
    studio.close()


@pytest.fixture
def studio(shared: StudioPage) -> StudioPage:
    """The page with a groove of funk as the only entry of its history."""
    shared.run(RESET)
    return shared


def drop(studio: StudioPage, selector: str, name: str, content: bytes) -> None:
    studio.page.evaluate(DROP, [selector, name, base64.b64encode(content).decode()])


# The roll


def test_mouse_edits_the_roll_and_undo_returns_the_first_bytes(studio: StudioPage) -> None:
    first, start = studio.midi(), studio.groove
    assert studio.drawn() == hits_of(start)
    studio.after(lambda: studio.click("#clear"))
    assert studio.groove["hits"] == []

    groove = studio.after(lambda: studio.page.mouse.click(*studio.place(SNARE, 4.02)))
    assert hits_of(groove) == [(4, SNARE, 90)]
    groove = studio.after(lambda: studio.drag(studio.place(SNARE, 4.02), (0, -20)))
    assert hits_of(groove) == [(4, SNARE, 114)]
    assert studio.drawn() == hits_of(groove)
    groove = studio.after(lambda: studio.drag(studio.place(SNARE, 4.02), (5, 1)))
    [hit] = groove["hits"]
    assert 4 < hit["beat"] < 4.2
    assert hit["velocity"] == 114
    assert "late" in studio.page.locator("#readout").inner_text()
    groove = studio.after(lambda: studio.drag(studio.place(KICK, 8), (0, 10)))
    assert [hit["velocity"] for hit in groove["hits"]] == [114, 102]
    groove = studio.after(lambda: studio.page.mouse.click(*studio.place(SNARE, hit["beat"] + 0.02)))
    assert hits_of(groove) == [(8, KICK, 102)]

    studio.after(lambda: studio.click(".lane:last-child .mute"))
    studio.after(lambda: studio.click(".lane:last-child .solo"))
    assert studio.run("studio.lanes.silent.length") == 9
    while studio.page.locator("#undo").is_enabled():
        studio.click("#undo")
    assert studio.groove == start
    assert studio.midi() == first
    while studio.page.locator("#redo").is_enabled():
        studio.click("#redo")
    assert hits_of(studio.groove) == [(8, KICK, 102)]
    assert studio.run("studio.store.state.soloed") == [KICK]


def test_keyboard_edits_the_roll(studio: StudioPage) -> None:
    first = studio.midi()
    studio.after(lambda: studio.click("#clear"))
    studio.press("r", "Home", "ArrowUp", "ArrowRight", "ArrowRight", "Enter")
    [hit] = studio.groove["hits"]
    assert (hit["beat"], hit["drum"], hit["velocity"]) == (0.5, 4, 90)
    assert studio.page.locator("#live").inner_text().startswith("low tom, bar 1, 16th 3, ")
    studio.press("+", "+", "-", ".", ".", ",")
    [hit] = studio.groove["hits"]
    assert (hit["beat"], hit["velocity"]) == (0.5 + 1 / 64, 98)
    studio.press("PageDown", "Enter", "Shift+ArrowRight", "Shift+ArrowRight")
    assert len(studio.groove["hits"]) == 2
    assert studio.run("studio.editor.bars") == [1, 2]
    studio.press("Escape", "m", "s", "Delete")
    assert studio.run("[studio.store.state.muted, studio.store.state.soloed]") == [[4], [4]]
    assert len(studio.groove["hits"]) == 1
    assert len(studio.labels) == 9  # repeated changes of a hit are one entry
    for _ in range(8):
        studio.press("Control+z")
    assert studio.midi() == first
    studio.press("Control+Shift+z", "Control+y")
    assert studio.run("studio.store.index") == 2


def test_tempo_bars_name_and_zoom(studio: StudioPage) -> None:
    before = studio.groove
    studio.page.locator("#tempo").fill("84")
    studio.after(lambda: studio.press("Enter"))
    assert studio.groove["tempos"] == [[0, 84]]
    studio.after(lambda: studio.click("#double"))
    assert len(studio.groove["hits"]) == 2 * len(before["hits"])
    studio.page.locator("#bars").fill("3")
    studio.after(lambda: studio.press("Tab"))
    assert studio.groove["bars"] == 3
    assert hits_of(studio.groove) == [hit for hit in hits_of(before) if hit[0] < 12]
    studio.page.locator("#name").fill("밤의 그루브")
    studio.after(lambda: studio.press("Enter"))
    assert studio.page.title().startswith("밤의 그루브")
    studio.press("r", "]", "]")
    assert studio.run("studio.view.isWhole") is False
    assert studio.page.locator("#overview").is_visible()
    box = studio.page.locator("#overview").bounding_box()
    studio.page.mouse.click(box["x"] + box["width"] - 2, box["y"] + 5)
    studio.wait("studio.view.rangeInView[1] >= 11.99")
    studio.press("[", "[")
    assert studio.run("studio.view.isWhole") is True
    studio.page.locator("#bars").fill("1")
    studio.after(lambda: studio.press("Tab"))
    assert studio.labels[-1] == "1 bar"
    assert " in 1 bar: " in studio.page.locator("#summary").inner_text()


# The tools


def test_new_grooves_follow_their_settings_and_their_seed(studio: StudioPage) -> None:
    first = studio.groove
    style = studio.page.get_by_role("checkbox")
    studio.after(lambda: style.and_(studio.page.get_by_label("funk")).uncheck())
    studio.after(lambda: style.and_(studio.page.get_by_label("jazz")).press("Space"))
    assert studio.labels == ["New · jazz"]
    assert studio.groove["hits"] != first["hits"]
    studio.after(lambda: style.and_(studio.page.get_by_label("funk")).check())
    assert studio.labels == ["New · jazz, funk"]
    studio.slide("#panel-sample [name=jazz]", 0.2)
    assert studio.run("studio.store.entry.recipe.settings.styles") == {"jazz": 0.2, "funk": 1}
    numbers = []
    for density in (0.1, 0.9, -0.05):
        studio.slide("#panel-sample [name=density]", density)
        numbers.append(len(studio.groove["hits"]))
    assert numbers[0] < numbers[1]
    studio.after(lambda: style.and_(studio.page.get_by_label("jazz")).uncheck())
    assert studio.labels == ["New · funk"]
    assert studio.groove["hits"] == first["hits"]
    studio.page.locator("#panel-sample [name=bars]").fill("8")
    studio.press("Tab")
    studio.wait("studio.store.state.groove.bars === 8")
    studio.after(lambda: studio.click("#panel-sample .main"))
    assert studio.groove["hits"] != first["hits"]
    by_key = studio.after(lambda: studio.press("g"))
    assert by_key["bars"] == 8
    assert studio.labels[1:] == ["New · funk"] * 2


def test_vary_and_humanize_adjust_and_start_again(studio: StudioPage) -> None:
    first = studio.groove
    studio.click("#tab-vary")
    varied = studio.after(lambda: studio.click("#panel-vary .main"))
    assert varied["hits"] != first["hits"]
    before = len(studio.labels)
    studio.slide("#panel-vary [name=amount]", 0.6)
    assert studio.labels[before - 1 :] == ["Vary · 60 %"]
    another = studio.after(lambda: studio.press("Shift+G"))
    assert studio.run("studio.store.entry.recipe.base") == first
    assert another["hits"] != varied["hits"]
    studio.click("#history li:first-child button")
    assert studio.groove == first

    studio.press("3")
    assert studio.page.locator("#panel-humanize").is_visible()
    humanized = studio.after(lambda: studio.press("g"))
    assert len(humanized["hits"]) == len(first["hits"])
    assert hits_of(humanized) != hits_of(first)
    studio.slide("#panel-humanize [name=strength]", 0)
    assert hits_of(studio.groove) == hits_of(first)


def test_a_and_b_are_kept_shown_and_interpolated(studio: StudioPage) -> None:
    first = studio.groove
    studio.after(lambda: studio.click("#slot-a .keep"))
    second = studio.after(lambda: studio.press("g"))
    studio.after(lambda: studio.press("Shift+B"))
    studio.after(lambda: studio.press("x"))
    assert studio.groove == first
    studio.after(lambda: studio.click("#slot-b .recall"))
    assert studio.groove == second
    studio.click("#tab-interpolate")
    for share in (0, 1, 0.2):
        studio.slide("#panel-interpolate [name=share]", share)
    assert studio.labels[-1] == "Interpolate · 20 %"
    assert studio.groove["hits"] not in (first["hits"], second["hits"])
    studio.page.locator("#panel-interpolate [name=share]").focus()
    studio.press("End")
    studio.wait("studio.store.entry.label === 'Interpolate · 100 %'")
    assert len(studio.labels) == 7


# Files


def long_file() -> bytes:
    """A MIDI file of 200 bars, with a pitch without a drum, and two tempos."""
    hits = [*make_midi.beat(200), (480 * 3, 88)]
    marks = make_midi.tempo(120) + make_midi.tempo(90, 480 * 400)
    return make_midi.midi(marks + make_midi.END, make_midi.notes(sorted(hits)) + make_midi.END)


def test_dropped_file_keeps_all_its_notes(studio: StudioPage) -> None:
    content = long_file()
    expected, _ = files.read_midi(content, "긴 곡 🥁")
    studio.after(lambda: drop(studio, "#roll", "긴 곡 🥁.mid", content))
    assert studio.groove == expected
    assert studio.groove["bars"] == 200
    assert len(studio.groove["hits"]) == 200 * 12 + 1
    assert studio.page.locator("#name").input_value() == "긴 곡 🥁"
    assert studio.page.locator(".lane").count() == 10  # one for other pitches
    in_view = [hit for hit in hits_of(expected) if hit[0] < 15]
    assert [hit for hit in studio.drawn() if hit[0] < 15] == in_view
    studio.press("r", "End")
    studio.wait("studio.view.rangeInView[1] > 799")
    assert [hit for hit in studio.drawn() if hit[0] > 790] == [
        hit for hit in hits_of(expected) if hit[0] > 790
    ]
    dragged, _ = files.read_midi(studio.midi(), "긴 곡 🥁")
    assert hits_of(dragged) == hits_of(expected)
    assert dragged["tempos"] == expected["tempos"]
    with studio.page.expect_download() as download:
        studio.press("Control+s")
    assert download.value.suggested_filename == "긴 곡 🥁.mid"
    assert Path(download.value.path()).read_bytes() == studio.midi()


def test_files_to_slots_wrong_files_and_wav(studio: StudioPage, tmp_path: Path) -> None:
    # Playwright needs a moment until it receives file choosers, and the key "o" does not wait.
    studio.page.on("filechooser", lambda chooser: None)
    before = studio.groove
    path = tmp_path / "take.mid"
    path.write_bytes(make_midi.midi(make_midi.notes(make_midi.beat()) + make_midi.END))
    studio.after(lambda: drop(studio, "#slot-b", "take.mid", path.read_bytes()))
    assert studio.groove == before
    assert studio.run("studio.store.state.b.name") == "take"
    drop(studio, "#tools", "no.mid", b"no MIDI")
    studio.page.wait_for_selector("#message:not(:empty)")
    assert studio.page.locator("#message").inner_text().startswith("no: ")
    assert studio.problems.pop().startswith("Failed to load resource")  # of Chromium, not ours
    with studio.page.expect_file_chooser() as chooser:
        studio.press("o")
    studio.after(lambda: chooser.value.set_files([path]))
    assert len(studio.groove["hits"]) == 48
    pytest.importorskip("tinysoundfont")
    with studio.page.expect_download() as download:
        studio.click("#save-wav")
    assert download.value.suggested_filename == "take.wav"
    assert Path(download.value.path()).read_bytes()[:4] == b"RIFF"


# Sound


def test_playback_loops_and_sends_midi_with_a_clock(studio: StudioPage) -> None:
    studio.after(lambda: studio.click("#clear"))
    for place in ((KICK, 0), (SNARE, 1), (HIHAT, 8)):
        x, y = studio.place(*place)
        studio.after(functools.partial(studio.page.mouse.click, x, y))
    studio.click("#midi")
    studio.click("#midi-connect")
    assert studio.page.locator("#midi-in").inner_text() == "Pad"
    studio.page.locator("#midi-out").select_option("DAW")
    studio.page.keyboard.press("Escape")
    studio.page.locator("#tempo").fill("300")
    studio.press("Enter")
    x, _ = studio.place(KICK, 1)
    top = studio.page.locator("#roll").bounding_box()["y"] + 8
    studio.page.mouse.click(x, top)
    assert studio.run("studio.editor.bars") == [0, 0]
    studio.press("l", "c", "Space")
    studio.wait("studio.player.isPlaying && sent.length > 200")
    assert studio.page.locator("#play").get_attribute("aria-pressed") == "true"
    studio.press("Space")
    sent = studio.page.evaluate("sent")
    statuses = [status for _, status, *_ in sent]
    notes = [
        (time, pitch, velocity)
        for time, status, pitch, velocity in (event for event in sent if event[1] == 0x99)
    ]
    assert statuses[0] == 0xFA
    assert statuses[-1] == 0xFC
    assert {pitch for _, pitch, _ in notes} == {36, 38}  # and not the hi-hat of bar 3
    assert notes[1][0] - notes[0][0] == pytest.approx(200, abs=1)  # ms of a beat
    clocks = [time for time, status, *_ in sent if status == 0xF8]
    assert clocks[24] - clocks[0] == pytest.approx(200, abs=1)
    assert clocks[0] == pytest.approx(notes[0][0], abs=1)


def test_missing_audio_device_is_reported(studio: StudioPage) -> None:
    studio.page.evaluate(
        "() => { globalThis.resume = AudioContext.prototype.resume;"
        "AudioContext.prototype.resume = () => new Promise(() => {}); }"
    )
    studio.press("Space")
    studio.page.wait_for_selector("#message:not(:empty)")
    assert "audio device" in studio.page.locator("#message").inner_text()
    assert studio.run("studio.player.isPlaying") is False
    studio.page.evaluate("() => { AudioContext.prototype.resume = globalThis.resume; }")


def test_drums_are_synthesized_without_a_soundfont(browser: Any, server: StudioServer) -> None:
    studio = StudioPage(browser, server.url)
    studio.page.route(
        f"{server.url}api/sounds", lambda route: route.fulfill(status=500, json={"error": "none"})
    )
    studio.open(FUNK)
    studio.wait("document.querySelector('#message').textContent.endsWith('none')")
    studio.press("Space")
    studio.wait("studio.player.isPlaying")
    loudness = studio.run(
        "studio.audio.layers.map(([{ buffer }]) => "
        "Math.max(...buffer.getChannelData(0).map(Math.abs)))"
    )
    assert len(loudness) == 9
    assert 0.1 < min(loudness) <= max(loudness) <= 1
    assert studio.problems.pop().startswith("Failed to load resource")  # the answer of this test
    studio.close()


# The other tools


def test_map_draws_grooves_as_it_is_dragged_over(studio: StudioPage) -> None:
    studio.press("9")
    studio.wait("studio.map.data !== null")
    assert studio.page.locator("#panel-map .legend span").last.inner_text() == "other styles"
    box = studio.page.locator("#map").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    studio.after(lambda: studio.drag(middle, (40, 30)))
    studio.wait("studio.store.entry.recipe.settings.x === studio.map.point.x")
    dragged = studio.groove
    assert dragged["hits"]
    assert studio.labels == ["New · funk", "Map"]  # one entry for the whole drag
    studio.page.locator("#map").focus()
    moved = studio.after(lambda: studio.press("ArrowLeft"))
    assert moved["hits"] != dragged["hits"]
    studio.after(lambda: studio.press("Enter"))
    assert studio.labels == ["New · funk", "Map", "Map"]
    studio.after(lambda: studio.press("Control+z"))
    studio.after(lambda: studio.press("Control+z"))
    assert studio.labels[studio.run("studio.store.index")] == "New · funk"


def test_taps_of_keys_mouse_and_pad_become_a_groove(studio: StudioPage) -> None:
    page = studio.page
    page.locator("#tempo").fill("100")
    studio.press("Enter", "5")
    page.locator("#panel-tap2drum [name=bars]").fill("1")
    studio.press("Tab", "r", "g")
    studio.run("studio.midi.connect()")
    studio.wait("studio.recorder.isRecording && studio.player.beat > 0.4")
    page.keyboard.press("j")
    studio.wait("studio.player.beat > 1.4")
    page.locator("#pad").dispatch_event("pointerdown")
    studio.wait("studio.player.beat > 2.4")
    page.evaluate("pad.play(38, 55)")
    studio.wait("studio.store.entry.label.startsWith('Tap') && studio.player.isPlaying")
    studio.press("Space")
    assert studio.labels[-2] == "Taps: 3"
    taps = studio.run("studio.store.entry.recipe.base")
    assert (taps["bars"], taps["tempos"]) == (1, [[0, 100]])
    assert [hit["velocity"] for hit in taps["hits"]] == [96, 96, 55]
    beats = [hit["beat"] for hit in taps["hits"]]
    assert all(beat >= at for beat, at in zip(beats, (0.4, 1.4, 2.4), strict=True))
    assert studio.groove["bars"] == 1
    assert studio.groove["hits"] != taps["hits"]
    studio.click("#panel-tap2drum .main")
    studio.wait("studio.recorder.isRecording && studio.player.isPlaying")
    studio.press("Escape")
    assert studio.run("studio.recorder.isRecording || studio.player.isPlaying") is False


def test_hihat_transfer_and_infill(studio: StudioPage) -> None:
    studio.press("4")
    studio.after(lambda: studio.click("#panel-add_hihat .main"))
    studio.press("6", "g")
    assert "A or B" in studio.page.locator("#message").inner_text()
    studio.after(lambda: studio.press("Shift+A"))
    studio.after(lambda: studio.press("g"))
    with studio.page.expect_file_chooser() as chooser:
        studio.click("#panel-transfer .feel button")
    take = make_midi.midi(make_midi.notes(make_midi.beat()) + make_midi.END)
    chooser.value.set_files([{"name": "take.mid", "mimeType": "audio/midi", "buffer": take}])
    studio.wait("studio.actions.feelFrom === 'file'")
    studio.after(lambda: studio.click("#panel-transfer .main"))
    assert studio.labels[-3:] == ["Keep as A", "Transfer · 100 %", "Transfer · 100 %"]

    studio.press("8", "g")
    assert "Select" in studio.page.locator("#message").inner_text()
    (x1, y1), (x2, y2) = studio.place(HIHAT, 4.5), studio.place(SNARE, 11)
    studio.page.keyboard.down("Shift")
    studio.drag((x1, y1), (x2 - x1, y2 - y1))
    studio.page.keyboard.up("Shift")
    assert studio.run("studio.editor.bars") == [1, 2]
    assert set(studio.run("studio.editor.selected")) == {HIHAT, 8, 6, 5, SNARE}
    studio.page.locator("#panel-infill").get_by_label("ride").uncheck()
    studio.page.locator("#panel-infill [name=last]").fill("4")
    studio.press("Tab")
    before = studio.groove
    studio.after(lambda: studio.click("#panel-infill .main"))
    assert studio.labels[-1] == "Infill"
    assert outside(studio.groove) == outside(before)
    assert hits_of(studio.groove) != hits_of(before)


def test_continue_fills_and_directions(studio: StudioPage) -> None:
    first = studio.groove
    studio.press("0")
    studio.after(lambda: studio.click("#panel-continue .main"))
    assert studio.groove["bars"] == 8
    studio.press("f")
    studio.page.locator("#panel-fill [name=every]").fill("8")
    studio.press("Tab", "r")
    before = studio.groove
    studio.after(lambda: studio.press("g"))
    kept = [hit for hit in hits_of(before) if hit[0] < 27]
    assert [hit for hit in hits_of(studio.groove) if hit[0] < 27] == kept
    studio.click("#history li:first-child button")
    studio.press("2")
    studio.page.locator("#panel-vary [name=amount]").fill("0.5")
    studio.page.locator("#panel-vary [name=toward]").select_option("less density")
    studio.after(lambda: studio.click("#panel-vary .main"))
    assert len(studio.groove["hits"]) < len(first["hits"])


def outside(groove: dict[str, Any]) -> list[tuple[float, int, int]]:
    """Return the hits that the infill of bars 2 to 4, without the ride, leaves as they are."""
    filled = (HIHAT, 6, 5, SNARE)
    return [hit for hit in hits_of(groove) if hit[0] < 4 - 1 / 8 or hit[1] not in filled]


# State


def test_state_is_restored_and_links_repeat_a_groove(browser: Any, server: StudioServer) -> None:
    studio, other = StudioPage(browser, server.url), StudioPage(browser, server.url)
    studio.open(FUNK)
    groove = studio.groove
    studio.after(lambda: studio.press("Shift+A"))
    link = studio.page.evaluate("location.hash")
    studio.after(lambda: studio.click("#clear"))
    studio.wait("JSON.parse(localStorage['groovae-studio'] ?? 'null')?.entries.length === 4")
    studio.page.reload()
    studio.page.wait_for_selector("body[data-ready]")
    assert studio.labels[1:] == ["New · funk", "Keep as A", "Clear"]
    assert studio.run("studio.store.state.a") == groove
    studio.press("Control+z")
    assert studio.groove == groove
    check_second_tab(studio)
    other.open(link)
    assert other.groove == groove
    assert other.page.get_by_label("funk").is_checked()
    studio.close()
    other.close()


def check_second_tab(studio: StudioPage) -> None:
    """Check that a new tab starts with the state of this one, and that both keep their own."""
    studio.run("studio.save()")
    first, labels = studio.page, studio.labels
    studio.page = studio.context.new_page()
    studio.open()
    assert studio.labels == labels
    studio.after(lambda: studio.press("g"))
    studio.run("studio.save()")
    studio.page, second = first, studio.page
    studio.wait("studio.store.isOverwriting")
    studio.run("studio.save()")
    assert "another tab" in studio.page.locator("#message").inner_text()
    second.reload()
    second.wait_for_selector("#history li:nth-child(4):has-text('New')")
    second.close()
    assert studio.labels == labels


def test_damaged_and_forbidden_storage_is_no_obstacle(browser: Any, server: StudioServer) -> None:
    studio = StudioPage(browser, server.url)
    groove = {"name": "x", "bars": 1, "meters": [], "tempos": [], "hits": []}
    state: dict[str, Any] = {"groove": groove, "a": None, "b": None, "muted": [], "soloed": []}
    entries = [{"label": "x", "state": state}]
    saved = {"entries": entries, "index": 0, "settings": [["sample", {"styles": None}]]}
    studio.page.add_init_script(
        f"Storage.prototype.getItem = () => {json.dumps(json.dumps(saved))};"
        "Storage.prototype.setItem = () => { throw new Error('full'); };"
    )
    studio.open("#tool=no")
    assert studio.groove["hits"]
    studio.page.locator("#language").select_option("ko")
    assert studio.page.evaluate("document.documentElement.lang") == "ko"
    studio.run("studio.save()")
    studio.close()


def test_korean_and_shortcuts(studio: StudioPage) -> None:
    page = studio.page
    page.locator("#language").select_option("ko")
    assert page.evaluate("document.documentElement.lang") == "ko"
    assert page.locator("#summary").inner_text().startswith("4마디에 타격")
    assert page.locator("#tab-vary").inner_text().startswith("변주")
    missing = studio.page.evaluate(
        "(async () => { const [en, ko] = await Promise.all([import('./english.js'), "
        "import('./korean.js')]); const keys = (m) => Object.keys(m.default).sort().join(); "
        "return keys(en) === keys(ko); })()"
    )
    assert missing is True
    page.locator("#language").select_option("en")
    page.locator("#roll").focus()
    studio.press("?")
    assert page.locator("#help-dialog dt").count() > 20
    page.locator("#letters").uncheck()
    studio.press("Escape")
    page.locator("#roll").focus()
    studio.press("Shift+A", "2")
    assert studio.labels == ["New · funk"]
    assert page.locator("#tab-sample").get_attribute("aria-selected") == "true"


# Appearance


def test_axe_finds_nothing_serious(studio: StudioPage) -> None:
    page = studio.page
    page.evaluate((npm_package("axe-core") / "axe.min.js").read_text())
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert serious_violations(page, "html", rules) == [], scheme
        for tab in page.get_by_role("tab").all()[1:]:
            tab.click()
            assert serious_violations(page, "#panels", rules) == [], (scheme, tab.inner_text())
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def serious_violations(page: Any, part: str, rules: dict[str, Any]) -> list[tuple[str, list[str]]]:
    found = page.evaluate(
        "async ([part, rules]) => (await axe.run(part, rules)).violations", [part, rules]
    )
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ]


def test_phone(browser: Any, server: StudioServer) -> None:
    studio = StudioPage(browser, server.url, viewport=PHONE, has_touch=True, is_mobile=True)
    studio.open(FUNK)
    page = studio.page
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    x, y = studio.place(SNARE, 1.5)
    studio.after(lambda: page.touchscreen.tap(x, y))
    assert (1.5, SNARE, 90) in hits_of(studio.groove)
    studio.after(lambda: page.touchscreen.tap(x + 2, y))
    assert (1.5, SNARE, 90) not in hits_of(studio.groove)
    page.locator("#panel-sample .main").scroll_into_view_if_needed()
    assert page.locator("#play").bounding_box()["y"] >= 0  # the stage stays in view
    studio.after(lambda: page.locator("#panel-sample .main").tap())
    studio.close()


def test_page_is_light() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir()}
    assert sum(sizes.values()) < MAX_PAGE_BYTES, sizes
