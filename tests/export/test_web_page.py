"""The page of an exported model in headless Chromium, served as `groovae serve` serves it.

The model computes in the real @magenta/music, from a copy beside the page; see tests/web_export.py.
"""

import dataclasses
import functools
import json
import os
import re
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from browser import BROWSERS, CONTRASTS, MIN_CONTRAST, PHONE
from conftest import SMALL_HPARAMS, a_groove
from web_export import magenta_music, random_checkpoint, served

import groovae
from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.data.grid import to_segments
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.export import magentajs
from groovae.generation.groove_model import load_model
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.music.drums import GM
from groovae.music.midi_writer import write_sequence
from groovae.report.rolls import LANE_OF, LOUDEST, SOFTEST
from groovae.upstream import note_seq

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

RANDOM_HPARAMS = "enc_rnn_size=[32],dec_rnn_size=[32,32],z_size=16"
DRUM_OF = {lane: drum for drum, lane in LANE_OF.items()}
STEM = re.compile(r"M(-?[\d.]+) ([\d.]+)v-([\d.]+)")

# What files say of their meter, and what the page says of what groovae says.
METERS = [
    *([(0, 2, 2)], [(0, 8, 8)], [(0, 3, 4)], [(0, 12, 8)]),
    *([(0, 4, 4), (2, 2, 2)], [(0, 2, 2), (2, 2, 2)], [(2, 2, 2)], [(2, 4, 4)]),
]
WORDS = {"not in 4/4": "it is not in 4/4", "with meter changes": "its meter changes"}


def a_file(events: bytes, division: int = 480, tracks: int = 1) -> bytes:
    """A MIDI file of one track, which may say that there are more."""
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, tracks, division)
    return header + struct.pack(">4sI", b"MTrk", len(events)) + events


A_HIT, END = bytes([0, 0x99, 36, 80, 60, 0x89, 36, 0]), b"\0\xff\x2f\0"
UNPLAYABLE: list[tuple[Any, str]] = [
    (b"not MIDI at all", "it cannot be read as MIDI"),
    ({"meters": [(0, 3, 4)]}, "it is not in 4/4"),
    ({"meters": [(0, 4, 4), (2, 3, 4)]}, "its meter changes"),
    ({"tempos": [(0, 120), (2, 90)]}, "its tempo changes"),
    ({"tempos": [(0, 1200)]}, "its 1200 bpm are not between 4 and 1000"),
    ({"bars": 0}, "it has no notes"),
    ({"pitch": 100}, "it has no drums that the model knows"),
    (bytes(300_000), "it is larger than 192 KB"),
    (
        a_file(b"", division=0xE728),
        "its times are SMPTE frames; write it with ticks per quarter note",
    ),
    (a_file(A_HIT + END)[:-1], "it ends too early"),
    (a_file(END, tracks=2), "it ends too early"),
    (a_file(b"\xff\xff\xff\x7f" + A_HIT[1:] + END), "it is longer than 180 minutes"),
]

# Math.random that repeats, from a seed; mulberry32.
SEEDED = """
let state = 1;
window.seed = (value) => { state = value; };
Math.random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
};
"""

# Lets a test hear what goes to the loudspeaker: `loudness()` of the last 46 ms, 0 to 1 and more.
EARS = """
const { connect } = AudioNode.prototype;
AudioNode.prototype.connect = function (target, ...rest) {
  if (target instanceof AudioDestinationNode) {
    const analyser = new AnalyserNode(this.context);
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


class Hit(NamedTuple):
    """A hit as it is drawn: its drum, its time in 16ths, its velocity."""

    drum: int
    time: float
    velocity: float


class Lively(NamedTuple):
    """A checkpoint, and the URL of its page."""

    checkpoint: str
    url: str


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


@pytest.fixture(scope="module")
def magenta_js() -> Path:
    return magenta_music() / "dist" / "magentamusic.js"


@pytest.fixture(scope="module")
def site(native: Path, magenta_js: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the native model's page."""
    folder = tmp_path_factory.mktemp("page") / "web"
    magentajs.export(native / "checkpoint", folder, hparams=SMALL_HPARAMS, magenta_js=magenta_js)
    with served(folder) as url:
        yield url


@pytest.fixture(scope="module")
def lively(magenta_js: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lively]:
    """A model that plays much, where the native one has learned little but when to be silent."""
    folder = tmp_path_factory.mktemp("lively")
    checkpoint = random_checkpoint(folder, "groovae_4bar", RANDOM_HPARAMS)
    magentajs.export(checkpoint, folder / "web", hparams=RANDOM_HPARAMS, magenta_js=magenta_js)
    with served(folder / "web") as url:
        yield Lively(checkpoint, url)


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page; at the end there must have been no error, and no request to elsewhere."""
    pages: list[Any] = []
    wrong: list[str] = []

    def open_it(url: str, ready: str = "#about-b:not(:empty)", **options: Any) -> Any:
        page = browser.new_page(**options)
        pages.append(page)
        page.add_init_script(SEEDED + EARS)

        def check_console(message: Any) -> None:
            if message.type == "error":
                wrong.append(message.text)

        def check_request(request: Any) -> None:
            if not request.url.startswith((f"{url}/", f"blob:{url}/", "data:")):
                wrong.append(request.url)

        def check_dialog(dialog: Any) -> None:
            wrong.append(dialog.message)
            dialog.dismiss()

        page.on("console", check_console)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", check_dialog)
        page.on("request", check_request)
        page.goto(f"{url}/")
        page.wait_for_selector(ready)
        return page

    yield open_it
    for page in pages:
        page.close()
    assert wrong == []


def hits_in(page: Any, roll: str = "#roll") -> list[Hit]:
    """What a roll shows, first hits first."""
    drawn = page.eval_on_selector_all(
        f"{roll} path:not(.lane):not(.beat):not(.bar)",
        "paths => paths.map(path => path.getAttribute('d')).join('')",
    )
    hits = []
    for x, bottom, height in STEM.findall(drawn):
        velocity = (float(height) - SOFTEST) / (LOUDEST - SOFTEST) * 127
        hits.append(Hit(DRUM_OF[int(float(bottom))], float(x), velocity))
    return sorted(hits, key=lambda hit: (hit.time, hit.drum))


def cells_of(hits: list[Hit]) -> set[tuple[int, int]]:
    return {(round(hit.time), hit.drum) for hit in hits}


def assert_felt_alike(hits: list[Hit], window: np.ndarray) -> None:
    """The hits are those of a window [steps, 27], at its times and as loud."""
    wanted = [
        (drum, step - window[step, 18 + drum] / 2, max(127 * window[step, 9 + drum], 1))
        for step, drum in np.argwhere(window[:, :9] > 0.5)
    ]
    assert len(hits) == len(wanted)
    errors = np.subtract(sorted(hits), sorted(wanted)).reshape(-1, 3)
    assert (np.abs(errors) <= [0, 1e-3, 0.6]).all()


def assert_kept(hits: list[Hit], window: np.ndarray, drums: set[int]) -> None:
    """The hits of these drums are just those of a window, however they are played."""
    times = sorted((hit.drum, hit.time) for hit in hits if hit.drum in drums)
    steps = sorted((drum, step) for step, drum in np.argwhere(window[:, :9] > 0.5) if drum in drums)
    assert [drum for drum, _ in times] == [drum for drum, _ in steps]
    for (_, time), (_, step) in zip(times, steps, strict=True):
        assert abs(time - step) <= 0.5


def wait_for_name(page: Any, name: str) -> None:
    page.wait_for_function("name => document.querySelector('#name').textContent === name", arg=name)


def set_slider(page: Any, name: str, value: float) -> None:
    """Moves a slider, and returns when what it changes is drawn."""
    page.locator(f"#{name}").fill(str(value))
    page.evaluate("new Promise(r => requestAnimationFrame(() => setTimeout(r)))")


def midi_of(groove: Any, path: Path) -> Path:
    write_sequence(path, groove)
    return path


def drop(page: Any, path: Path) -> None:
    """Drops a file on the page, as from a file manager."""
    transfer = page.evaluate_handle(
        """([name, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name, { type: "audio/midi" }));
          return transfer;
        }""",
        [path.name, list(path.read_bytes())],
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})


def read_by_groovae(path: Path, layout: Layout) -> tuple[Any, np.ndarray]:
    """Tempo and windows of a file, or what the page has to say of it, and nothing."""
    try:
        segments = to_segments(groovae.read_sequence(path), layout, WindowReport())
    except GroovaeError as error:
        return WORDS[str(error)], np.zeros(0)
    return segments.tempo_qpm, segments.outputs


def fulfill(content: bytes, route: Any) -> None:
    """Answers a request for magenta.js in the network's stead."""
    route.fulfill(
        body=content,
        content_type="text/javascript",
        headers={"Access-Control-Allow-Origin": "*"},
    )


def answer_with(answer: dict[str, Any], route: Any) -> None:
    route.fulfill(**answer)


# A file, a character for each byte.
FETCH = """async (url) => {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}"""

# What is wrong with a model's folder.
LOAD = """async (url) => {
  const { Model } = await import(`${url}/model.js`);
  return Model.load(url).then(() => "nothing", ({ message }) => message);
}"""

# The peak of the sound of each hit.
LOUDEST_OF_EACH = """async ([url, hits]) => {
  const { Player } = await import(url);
  const player = new Player(16);
  player.setTempo(240);
  const peaks = [];
  for (const [drum, velocity] of hits) {
    player.hits = [{ step: 0, drum, velocity, late: 0 }];
    await player.start();
    let peak = 0;
    while (player.position < 2) {
      await new Promise((wake) => setTimeout(wake, 5));
      peak = Math.max(peak, loudness());
    }
    player.stop();
    peaks.push(peak);
  }
  return peaks;
}"""

# Reads files, each given as its bytes, and cuts them into windows of 64 steps.
READ = """async ([url, files, pitches]) => {
  const { readMidi } = await import(`${url}/midi.js`);
  const { tensorOf, windowsOf } = await import(`${url}/groove.js`);
  return Promise.all(files.map(async (bytes) => {
    try {
      const { notes, qpm } = await readMidi(new Blob([Uint8Array.from(bytes)]));
      const windows = [...windowsOf(notes, qpm, 64, pitches).windows];
      return [qpm, windows.map(([number, hits]) => [number, Array.from(tensorOf(hits, 64))])];
    } catch (error) {
      return [error.message, []];
    }
  }));
}"""

# What the page's model makes of a window, given as a tensor, and a new groove of its own.
BY_THE_PAGE = """async ([url, window]) => {
  const { Model } = await import(`${url}/model.js`);
  const { hitsOf, tensorOf } = await import(`${url}/groove.js`);
  const model = await Model.load(url);
  const beat = hitsOf(Float32Array.from(window));
  seed(5);
  const { spread } = await model.answer(beat);
  seed(5);
  const drawn = { ...await model.encode(beat), spread, noise: model.randomZ() };
  const { z } = drawn.groove = model.sample(beat);
  const tensor = tensorOf(await model.decode(drawn.groove, 0), model.steps);
  return Object.fromEntries(Object.entries({ ...drawn, z, tensor, groove: [] })
    .map(([name, values]) => [name, Array.from(values)]));
}"""

# Decodes and encodes arrays by magenta.js's own model, not by the page's.
BY_MAGENTA_JS = """async ([url, z, inputs]) => {
  await mm.tf.setBackend("cpu");
  const model = new mm.MusicVAE(url);
  await model.initialize();
  const decoded = await model.decodeTensors(mm.tf.tensor2d(z));
  const mu = await model.encodeTensors(mm.tf.tensor3d(inputs));
  return [await decoded.array(), await mu.array()];
}"""


def assert_as_in_tensorflow(
    page: Any, url: str, z: Any, inputs: Any, decoded: Any, mu: Any
) -> None:
    found = page.evaluate(BY_MAGENTA_JS, [url, z.tolist(), inputs.tolist()])
    played, encoded = (np.array(one, np.float32) for one in found)
    assert 0.02 < played[..., :9].mean() < 0.98
    np.testing.assert_array_equal(played[..., :9], decoded[..., :9])
    np.testing.assert_allclose(played, decoded, rtol=0, atol=1e-5)
    np.testing.assert_allclose(encoded, mu, rtol=0, atol=1e-5)


def test_the_native_model_is_in_the_browser_what_it_is_in_tensorflow(
    site: str, native: Path, open_page: Callable[..., Any]
) -> None:
    outputs = np.load(native / "native_outputs.npz")
    wanted = [outputs[name] for name in ("z", "inputs", "decoded", "mu")]
    assert_as_in_tensorflow(open_page(site), site, *wanted)


def test_a_model_with_large_weights_is_in_the_browser_what_it_is_in_tensorflow(
    lively: Lively, open_page: Callable[..., Any]
) -> None:
    config = config_map.get_config("groovae_4bar", RANDOM_HPARAMS)
    network, random = (
        TensorFlowNetwork(lively.checkpoint, "groovae_4bar", config, 4),
        np.random.RandomState(5),
    )
    z, inputs = random.randn(4, 16), random.uniform(0, 1, (4, 64, 27)).astype(np.float32)
    thresholds, controls = np.zeros((4, 64, 9), np.float32), np.zeros((4, 64, 0), np.float32)
    decoded, mu = network.decode(z, thresholds, controls)[0], network.encode(inputs, controls)[0]
    assert_as_in_tensorflow(open_page(lively.url), lively.url, z, inputs, decoded, mu)


def test_each_new_groove_has_notes_of_its_own(site: str, open_page: Callable[..., Any]) -> None:
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


def test_the_temperature_changes_how_dense_a_groove_is(
    site: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(site)
    shown = []
    for temperature in (0, 0.5, 1, 1.5, 0.5):
        set_slider(page, "temperature", temperature)
        shown.append(hits_in(page))
        assert page.locator("#temperature-value").inner_text() == f"{temperature:.2f}"
    assert len(shown[0]) < len(shown[2]) < len(shown[3])
    assert shown[1] == shown[4]


def test_the_download_holds_the_notes_that_are_shown(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1.2)
    set_slider(page, "tempo", 93)
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "groove-1.mid"
    download.value.save_as(tmp_path / "groove.mid")
    sequence = note_seq.midi_file_to_note_sequence(str(tmp_path / "groove.mid"))
    assert sequence.tempos[0].qpm == pytest.approx(93, abs=1e-3)
    assert (sequence.time_signatures[0].numerator, sequence.time_signatures[0].denominator) == (
        4,
        4,
    )
    assert all(note.is_drum for note in sequence.notes)
    shown = hits_in(page)
    step_seconds = 60 / 93 / 4
    early = max(0.0, -shown[0].time) * step_seconds
    notes = sorted((note.pitch, note.start_time, note.velocity) for note in sequence.notes)
    wanted = sorted(
        (GM[hit.drum][0], hit.time * step_seconds + early, hit.velocity) for hit in shown
    )
    assert len(notes) > 20
    np.testing.assert_allclose(notes, wanted, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("by_drop", "qpm"), [(False, 100), (True, 240)])
def test_a_file_comes_back_as_what_the_model_plays(
    by_drop: bool, qpm: int, lively: Lively, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    groove = a_groove(bars=8, tempos=[(0, qpm)])
    for time in (1, 2, 3):
        groove.notes.add(start_time=time, end_time=time + 0.1, pitch=100, velocity=9, is_drum=True)
    path = midi_of(groove, tmp_path / "beat.mid")
    page = open_page(lively.url)
    set_slider(page, "temperature", 0)
    if by_drop:
        drop(page, path)
    else:
        page.locator("#file").set_input_files(path)
    wait_for_name(page, "Reconstruction of beat.mid")
    played = hits_in(page)
    assert page.locator("#tempo-value").inner_text() == f"{qpm} bpm"
    assert page.locator("#tempo").input_value() == str(qpm)
    assert page.locator("#lost").inner_text() == "3 notes of other pitches are left out."
    assert page.locator("#refused").inner_text() == ""
    bars = ["1 to 4", "5 to 8", "9 to 12", "13 to 16"]
    assert page.locator("#window option").all_inner_texts() == bars[: 2 * qpm // 100]

    model = load_model(lively.checkpoint, hparams=RANDOM_HPARAMS, seed=1, log=lambda line: None)
    segments = model.split(groovae.read_sequence(path))
    tensors, _, _ = model.predict_windows(segments.outputs[:1])
    assert len(played) > 10
    assert_felt_alike(played, tensors[0])

    page.get_by_label("as in the file").check()
    wait_for_name(page, "beat.mid")
    first = hits_in(page)
    assert_felt_alike(first, segments.outputs[0])
    roll = page.locator("#roll").inner_html()
    page.locator("#window").select_option("5 to 8")
    page.wait_for_function("was => document.querySelector('#roll').innerHTML !== was", arg=roll)
    assert_felt_alike(hits_in(page), segments.outputs[1])


def test_a_locked_groove_stays_while_others_are_tried(
    site: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1)
    own = hits_in(page)
    assert page.locator("#back").get_attribute("aria-disabled") == "true"
    for number in (1, 2):
        page.locator("#vary").click()
        wait_for_name(page, f"Variation {number} of Groove 1")
        assert hits_in(page) != own
        assert page.locator("#locked").inner_text() == "Groove 1"
    page.locator("#back").press("Enter")
    wait_for_name(page, "Groove 1")
    assert hits_in(page) == own
    assert page.evaluate("document.activeElement.id") == "back"  # though it is disabled again
    assert page.locator("#back").get_attribute("aria-disabled") == "true"


def test_the_lock_says_where_a_variation_starts(site: str, open_page: Callable[..., Any]) -> None:
    page, seen = open_page(site), []
    set_slider(page, "temperature", 1)
    for number, locked in ((1, True), (2, True), (3, False)):
        page.locator("#lock").set_checked(locked)
        page.evaluate("seed(7)")  # so that all step the same way
        page.locator("#vary").click()
        wait_for_name(page, f"Variation {number} of Groove 1")
        seen.append(hits_in(page))
    assert seen[0] == seen[1] != seen[2]


def test_a_small_step_changes_less_than_a_large_one(
    site: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1)
    own, changes = cells_of(hits_in(page)), []
    for number, amount in enumerate((0.05, 1), start=1):
        set_slider(page, "amount", amount)
        page.evaluate("seed(7)")
        page.locator("#vary").click()
        wait_for_name(page, f"Variation {number} of Groove 1")
        changes.append(len(cells_of(hits_in(page)) ^ own))
    assert changes[0] < changes[1]


def test_what_lies_between_two_grooves_begins_and_ends_with_them(
    site: str, open_page: Callable[..., Any]
) -> None:
    page = open_page(site)
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    page.locator("#keep-b").click()
    assert page.locator("#about-b").inner_text() == "Groove 3"
    a, b = hits_in(page, "#roll-a"), hits_in(page, "#roll-b")
    assert b == hits_in(page)
    ways = []
    for share in (0.5, 0, 1):
        set_slider(page, "share", share)
        ways.append(hits_in(page))
    assert ways[1:] == [a, b]
    assert ways[0] not in (a, b)
    assert page.locator("#share").get_attribute("aria-valuetext") == "100 %"


def test_a_file_that_is_kept_as_it_is_stays_as_it_is(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(site)
    page.locator("#file").set_input_files(midi_of(a_groove(), tmp_path / "beat.mid"))
    page.get_by_label("as in the file").check()
    wait_for_name(page, "beat.mid")
    own = hits_in(page)
    page.locator("#keep-a").click()
    set_slider(page, "share", 0.5)
    wait_for_name(page, "50 % of the way from A to B")
    assert hits_in(page) != own
    set_slider(page, "share", 0)
    wait_for_name(page, "A")
    assert hits_in(page) == own
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of A")
    assert hits_in(page) != own


def test_what_is_early_or_late_has_the_colour_that_the_legend_says(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    groove = a_groove(bars=4)
    for i, note in enumerate(groove.notes):
        note.start_time = 0.125 * (2 * i + (0.25, 0, -0.25)[i % 3])
    page = open_page(site)
    page.locator("#file").set_input_files(midi_of(groove, tmp_path / "beat.mid"))
    page.get_by_label("as in the file").check()
    wait_for_name(page, "beat.mid")
    words = {-1: "early", 0: "on the 16th", 1: "late"}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        drawn = page.eval_on_selector_all(
            "#roll path:not(.lane, .beat, .bar)[d*=M]",
            "paths => paths.map(path => [path.getAttribute('d'), getComputedStyle(path).stroke])",
        )
        legend = page.eval_on_selector_all(
            ".legend span",
            """keys => Object.fromEntries(keys.map(key =>
              [key.innerText, getComputedStyle(key.lastElementChild).backgroundColor]))""",
        )
        found: dict[int, set[str]] = {}
        for path, colour in drawn:
            for x, _, _ in STEM.findall(path):
                found.setdefault(round(4 * (float(x) - round(float(x)))), set()).add(colour)
        assert found == {late: {legend[word]} for late, word in words.items()}
        assert len(set(legend.values())) == 3


def test_the_roll_moves_while_it_plays(site: str, open_page: Callable[..., Any]) -> None:
    page = open_page(site)
    set_slider(page, "temperature", 1.5)
    place = "Number(document.querySelector('#field').style.getPropertyValue('--at'))"
    page.locator("#play").click()
    page.wait_for_function(f"{place} > 0.02")
    page.wait_for_selector(".lanes .struck")
    page.wait_for_function("loudness() > 0.05")
    assert page.locator("#play").get_attribute("aria-pressed") == "true"
    before = page.evaluate(place)
    set_slider(page, "tempo", 220)
    page.wait_for_function(f"{place} > {before + 0.05}")
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    assert page.locator(".playing").count() == 1
    page.locator("#play").click()
    page.wait_for_function("!document.querySelector('.playing, .struck')")
    assert page.evaluate(place) <= 1
    page.wait_for_function("loudness() < 1e-4")


def test_each_drum_sounds_as_loud_as_it_is_hit(site: str, open_page: Callable[..., Any]) -> None:
    page = open_page(site)
    hits = [*((drum, 127) for drum in range(9)), (0, 30)]
    *loud, soft = page.evaluate(LOUDEST_OF_EACH, [f"{site}/player.js", hits])
    assert min(loud) > 0.01
    assert 0.001 < soft < loud[0] / 2


def test_it_is_played_by_keys_alone(site: str, open_page: Callable[..., Any]) -> None:
    page = open_page(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    focused = "document.activeElement.id"
    order = []
    for _ in range(9):
        order.append(page.evaluate(focused))
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


def test_every_control_has_a_name(site: str, open_page: Callable[..., Any]) -> None:
    page = open_page(site)
    tree = page.locator("body").aria_snapshot()
    controls = re.findall(r"- (?:button|slider|checkbox|radio|combobox|img|region)\b.*", tree)
    assert len(controls) > 10
    assert [control for control in controls if '"' not in control] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(scheme: str, site: str, open_page: Callable[..., Any]) -> None:
    page = open_page(site, color_scheme=scheme)
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of Groove 1")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 40
    assert found[0][0] >= MIN_CONTRAST, found[0]


def test_it_fits_a_phone(site: str, open_page: Callable[..., Any], tmp_path: Path) -> None:
    page = open_page(site, viewport=PHONE, has_touch=True)
    page.locator("#file").set_input_files(
        midi_of(a_groove(), tmp_path / f"{'long_name_' * 12}.mid")
    )
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


def test_files_are_read_as_groovae_reads_them(
    site: str, open_page: Callable[..., Any], gmd: Path, tmp_path: Path
) -> None:
    paths = sorted(gmd.glob("drummer[1-8]/session1/*_fill_4-4.mid"))[::20]
    # Two hits of one drum and 16th are equally loud in it; the one that ends first is the first.
    paths.append(gmd / "drummer8" / "session2" / "25_latin_84_beat_4-4.mid")
    for i, meters in enumerate(METERS):
        paths.append(tmp_path / f"{i}.mid")
        note_seq.sequence_proto_to_midi_file(a_groove(meters=meters), str(paths[-1]))
    files = [list(path.read_bytes()) for path in paths]
    layout = dataclasses.replace(
        config_map.layout(config_map.get_config("groovae_4bar")), pitch_classes=GM
    )
    found = open_page(site).evaluate(READ, [site, files, GM])
    for path, (qpm_or_words, tensors) in zip(paths, found, strict=True):
        wanted, outputs = read_by_groovae(path, layout)
        assert qpm_or_words == wanted
        windows = np.zeros_like(outputs)
        for number, tensor in tensors:
            windows[number] = np.reshape(tensor, (64, 27))
        np.testing.assert_array_equal(windows, outputs)


def test_a_file_that_cannot_be_played_is_told(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(site)
    before = hits_in(page)
    for i, (content, words) in enumerate(UNPLAYABLE):
        path = tmp_path / str(i) / "<img src=x onerror=alert(1)>.mid"
        path.parent.mkdir()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            note_seq.sequence_proto_to_midi_file(a_groove(**content), str(path))
        page.locator("#file").set_input_files(path)
        page.wait_for_selector(f"#refused:has-text('{words}')")
        assert page.locator("#refused").inner_text() == f"{path.name}: {words}."
        playwright.expect(page.locator("#refused")).to_be_in_viewport()
        assert page.locator("#name").inner_text() == "Groove 1"
        assert page.locator("#dropped").is_hidden()
        assert hits_in(page) == before
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    assert page.locator("#refused").inner_text() == ""


def test_notes_that_are_no_drums_are_taken_for_drums_and_that_is_told(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    groove = a_groove()
    for note in groove.notes:
        note.is_drum = False
    note_seq.sequence_proto_to_midi_file(groove, str(tmp_path / "beat.mid"))
    page = open_page(site)
    page.locator("#file").set_input_files(tmp_path / "beat.mid")
    wait_for_name(page, "Reconstruction of beat.mid")
    told = page.locator("#lost").inner_text()
    assert told == "No note of the file says that it is a drum, so all are taken for drums."


def test_the_same_file_can_be_chosen_again(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    path = midi_of(a_groove(), tmp_path / "beat.mid")
    page = open_page(site)
    for number in (3, 4):
        with page.expect_file_chooser() as chooser:
            page.locator("#drop").click()
        chooser.value.set_files(path)
        wait_for_name(page, "Reconstruction of beat.mid")
        assert page.locator("#file-name").inner_text() == "beat.mid"
        page.locator("#generate").click()
        wait_for_name(page, f"Groove {number}")


def test_the_panel_says_which_version_of_a_file_is_on_the_stage(
    site: str, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    page = open_page(site)
    chosen = "[...document.querySelectorAll('[name=version]:checked')].map(({ value }) => value)"
    page.locator("#file").set_input_files(midi_of(a_groove(), tmp_path / "beat.mid"))
    wait_for_name(page, "Reconstruction of beat.mid")
    assert page.evaluate(chosen) == ["model"]
    page.get_by_label("as in the file").check()
    wait_for_name(page, "beat.mid")
    assert page.evaluate(chosen) == ["original"]
    assert page.locator("#temperature-note").inner_text().startswith("Of no effect")
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of beat.mid")
    assert page.evaluate(chosen) == []
    assert page.locator("#temperature-note").inner_text() == "What is left to chance"
    page.locator("#back").click()
    wait_for_name(page, "beat.mid")
    assert page.evaluate(chosen) == ["original"]


@pytest.mark.parametrize(
    ("config_name", "title", "kept", "alone"),  # drums whose hits stay, and how they are played
    [
        ("groovae_2bar_humanize", "Humanized beat.mid", set(range(9)), set()),
        ("groovae_2bar_hits_control_tfds", "With the feel of beat.mid", set(range(9)), set()),
        *[("groovae_2bar_add_closed_hh", "With a hi-hat beat.mid", *2 * [set(range(9)) - {2}])],
        ("groovae_2bar_tap_fixed_velocity", "Played from beat.mid", set(), set()),
    ],
)
def test_a_model_of_a_task_does_its_task(
    config_name: str,
    title: str,
    kept: set[int],
    alone: set[int],
    magenta_js: Path,
    open_page: Callable[..., Any],
    tmp_path: Path,
) -> None:
    prefix = random_checkpoint(tmp_path, config_name, RANDOM_HPARAMS)
    path = midi_of(a_groove(bars=2), tmp_path / "beat.mid")
    magentajs.export(prefix, tmp_path / "web", config_name, RANDOM_HPARAMS, magenta_js=magenta_js)
    with served(tmp_path / "web") as url:
        page = open_page(url)
        set_slider(page, "temperature", 0)
        page.locator("#file").set_input_files(path)
        wait_for_name(page, title)
        played = hits_in(page)
        set_slider(page, "temperature", 1.5)
        freer = hits_in(page)
        page.locator("#vary").click()
        wait_for_name(page, f"Variation 1 of {title}")
        varied = hits_in(page)
        model = load_model(prefix, config_name, RANDOM_HPARAMS, seed=1, log=lambda line: None)
        window = model.split(groovae.read_sequence(path)).outputs[0]
        found = page.evaluate(BY_THE_PAGE, [url, window.reshape(-1).tolist()])
    tensors, mu, sigma = model.predict_windows(window[np.newaxis])
    is_alone = np.isin(np.arange(27) % 9, list(alone))
    assert_felt_alike(played, np.where(is_alone, window, tensors[0]))
    assert freer != played
    for hits in (played, freer, varied):
        assert_kept(hits, window, kept)
        assert_felt_alike([hit for hit in hits if hit.drum in alone], window * is_alone)
    found = {name: np.array(values, np.float32) for name, values in found.items()}
    np.testing.assert_allclose(found["mu"], mu[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["sigma"], sigma[0], rtol=0, atol=1e-5)
    spread = found["noise"] * found["sigma"] * (len(kept) == 9)  # where nothing else is drawn
    np.testing.assert_allclose(found["spread"], spread, rtol=1e-6)
    new = found["tensor"].reshape(-1, 27)
    if config_name == "groovae_2bar_hits_control_tfds":  # which draws no hits, so it needs some
        np.testing.assert_array_equal(new[:, :9], window[:, :9])
    else:
        decoded = model.decode_to_tensors(found["z"][np.newaxis], 2, temperature=0)[0]
        wanted = decoded * np.tile(decoded[:, :9], 3)
        np.testing.assert_allclose(new, wanted, rtol=0, atol=0.6 / 127)


def test_magenta_js_comes_from_the_network_where_it_is_what_it_should_be(
    trained: Path, magenta_js: Path, browser: Any, tmp_path: Path
) -> None:
    magentajs.export(trained, tmp_path / "web")
    script, ready = magenta_js.read_bytes(), "#app:not([hidden])"
    for content, selector in ((script, ready), (script + b" ", "#status:has-text('did not load')")):
        page = browser.new_page()
        page.route(magentajs.MAGENTA_JS_URL, functools.partial(fulfill, content))
        with served(tmp_path / "web") as url:
            page.goto(f"{url}/")
            page.wait_for_selector(selector)
        page.close()


def test_a_page_without_its_config_or_magenta_js_says_so(
    trained: Path, magenta_js: Path, browser: Any, tmp_path: Path
) -> None:
    magentajs.export(trained, tmp_path / "web", magenta_js=magenta_js)
    for name, advice in (
        ("config.json", "config.json: the server answers 404; export it again."),
        ("magentamusic.js", "export with --magenta_js=PATH for a copy of your own."),
    ):
        (tmp_path / "web" / name).rename(tmp_path / name)
        with served(tmp_path / "web") as url:
            page = browser.new_page()
            page.goto(f"{url}/")
            page.wait_for_function(
                "document.querySelector('#status').textContent.includes('could not be loaded')"
            )
            assert page.locator("#status").inner_text().endswith(advice)
            assert f"/{name}" in page.locator("#status").inner_text() or name == "config.json"
            assert page.locator("#app").is_hidden()
            page.close()
        (tmp_path / name).rename(tmp_path / "web" / name)


def test_of_a_folder_that_is_not_whole_the_file_at_fault_is_told(site: str, browser: Any) -> None:
    page, shard = browser.new_page(), "group1-shard1of1.bin"
    page.goto(f"{site}/")
    config = json.loads(page.evaluate(FETCH, f"{site}/config.json"))
    config["dataConverter"]["args"]["numSteps"] = 40
    size = len(page.evaluate(FETCH, f"{site}/{shard}"))
    for name, answer, words in (
        (shard, {"status": 404}, f"{shard}: the server answers 404"),
        (shard, {"body": bytes(8)}, f"{shard}: it has 8 bytes, not {size}"),
        (shard, {"body": bytes(size + 4)}, f"{shard}: it has {size + 4} bytes, not {size}"),
        (magentajs.MANIFEST, {"status": 404}, "weights_manifest.json: the server answers 404"),
        (magentajs.MANIFEST, {"body": "<html>"}, "weights_manifest.json: Unexpected token"),
        ("config.json", {"json": config}, "config.json: numSteps is 40, and a bar has 16"),
    ):
        page.route(f"{site}/{name}", functools.partial(answer_with, answer))
        assert page.evaluate(LOAD, site).startswith(words)
        page.unroute(f"{site}/{name}")
    page.close()


def test_a_model_of_a_task_that_is_not_known_is_played_as_any_other(
    site: str, browser: Any
) -> None:
    page = browser.new_page()
    page.goto(f"{site}/")
    config = json.loads(page.evaluate(FETCH, f"{site}/config.json"))
    config["groovae"]["task"] = "dance"
    page.route(f"{site}/config.json", functools.partial(answer_with, {"json": config}))
    page.goto(f"{site}/")
    page.wait_for_selector("#about-b:not(:empty)")
    assert page.locator("#midi-note").inner_text().startswith("The model boils it down")
    page.close()


def test_a_page_with_the_weights_of_another_model_says_so(
    trained: Path, magenta_js: Path, open_page: Callable[..., Any], tmp_path: Path
) -> None:
    magentajs.export(trained, tmp_path / "web", magenta_js=magenta_js)
    config = json.loads((tmp_path / "web" / "config.json").read_text())
    config["extraControls"] = [{"name": "hits", "depth": 9}]
    (tmp_path / "web" / "config.json").write_text(json.dumps(config))
    with served(tmp_path / "web") as url:
        page = open_page(url, ready="#status:has-text('could not be loaded')")
        assert page.locator("#status").inner_text().endswith("; export it again.")
        assert "\n" not in page.locator("#status").inner_text()
        assert page.locator("#app").is_hidden()
