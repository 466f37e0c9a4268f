"""The user's MIDI file in the page of an exported model, in headless Chromium."""

import contextlib
import dataclasses
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import a_groove
from web_export import magenta_js_file, random_checkpoint, served
from web_page import (
    RANDOM_HPARAMS,
    STEM,
    Hit,
    OpenPage,
    assert_same_hits,
    cells_of,
    checked_pages,
    hits_in,
    set_slider,
    wait_for_name,
    write_midi,
)

import groovae
from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.data.grid import to_grid, to_segments
from groovae.data.window_report import WindowReport
from groovae.export import magentajs
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.music.drums import GM
from groovae.music.midi_magenta import read_magenta
from groovae.upstream import note_seq

# Each a file's time signatures.
METERS = [
    *([(0, 2, 2)], [(0, 8, 8)], [(0, 3, 4)], [(0, 12, 8)]),
    *([(0, 4, 4), (2, 2, 2)], [(0, 2, 2), (2, 2, 2)], [(2, 2, 2)], [(2, 4, 4)]),
]


def midi_file(events: bytes, division: int = 480, tracks: int = 1) -> bytes:
    """Return a MIDI file with one track; its header may state more of them."""
    header = struct.pack(">4sIHHH", b"MThd", 6, 1, tracks, division)
    return header + struct.pack(">4sI", b"MTrk", len(events)) + events


A_HIT, END = bytes([0, 0x99, 36, 80, 60, 0x89, 36, 0]), b"\0\xff\x2f\0"

# Contents of files, or arguments of `a_groove`, and a part of the error.
UNUSABLE: list[tuple[Any, str]] = [
    (b"not MIDI at all", "MIDI"),
    ({"meters": [(0, 3, 4)]}, "3/4"),
    ({"meters": [(0, 4, 4), (2, 3, 4)]}, "meter changes"),
    ({"tempos": [(0, 120), (2, 90)]}, "tempo changes"),
    ({"tempos": [(0, 1200)]}, "1200 bpm"),
    ({"bars": 0}, "no notes"),
    ({"pitch": 100}, "drum that the model knows"),
    (bytes(300_000), "192 KB"),
    (midi_file(b"", division=0xE728), "SMPTE"),
    (midi_file(A_HIT + END)[:-1], "truncated"),
    (midi_file(END, tracks=2), "truncated"),
    (midi_file(b"\xff\xff\xff\x7f" + A_HIT[1:] + END), "180 minutes"),
]

# Reads files, each given as its bytes, and cuts them into windows of 64 steps.
READ = """async ([url, files, pitches]) => {
  const { readMidi } = await import(`${url}/midi.js`);
  const { cutWindows, toTensor } = await import(`${url}/groove.js`);
  return Promise.all(files.map(async (bytes) => {
    try {
      const { notes, qpm, bars } = await readMidi(new Blob([Uint8Array.from(bytes)]));
      const windows = [...cutWindows(notes, qpm, 64, pitches, false, bars).windows];
      const tensors = windows.map(([number, hits]) => [number, Array.from(toTensor(hits, 64))]);
      return [qpm, bars, tensors];
    } catch (error) {
      return [error.message, 0, []];
    }
  }));
}"""

# Processes a window, given as a tensor, by the page's model, and samples a new groove.
PROCESS = """async ([url, window]) => {
  const { Model } = await import(`${url}/model.js`);
  const { toHits, toTensor } = await import(`${url}/groove.js`);
  const model = await Model.load(url);
  const hits = toHits(Float32Array.from(window));
  seed(5);
  const { spread } = await model.process(hits);
  seed(5);
  const arrays = { ...await model.encode(hits), spread, direction: model.randomZ() };
  const groove = model.sample(hits);
  arrays.z = groove.z;
  arrays.tensor = toTensor(await model.decode(groove, 0), model.steps);
  return Object.fromEntries(
    Object.entries(arrays).map(([name, values]) => [name, Array.from(values)]));
}"""


class Site(NamedTuple):
    """A model, and the URL of its page."""

    model: GrooveModel
    url: str


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    with checked_pages(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A model without a task, whose large random weights make many hits."""
    folder = tmp_path_factory.mktemp("random")
    with export_random(folder, "groovae_4bar") as site:
        yield site


@contextlib.contextmanager
def export_random(folder: Path, config_name: str) -> Iterator[Site]:
    prefix, script = random_checkpoint(folder, config_name, RANDOM_HPARAMS), magenta_js_file()
    magentajs.export(prefix, folder / "web", config_name, RANDOM_HPARAMS, magenta_js=script)
    model = load_model(
        prefix, config_name, RANDOM_HPARAMS, seed=1, log=lambda line: None, as_hits=False
    )
    with served(folder / "web") as url:
        yield Site(model, url)


def choose_original(page: Any, path: Path) -> None:
    """Open a file and show it as it is."""
    page.locator("#file").set_input_files(path)
    page.get_by_label("original").check()
    wait_for_name(page, path.name)


def drop(page: Any, path: Path) -> None:
    """Drop a file on the page, as from a file manager."""
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


# Reading files


def read_in_python(path: Path, layout: Layout) -> tuple[Any, int, np.ndarray]:
    """Return tempo, bars and windows of a file, or a word of the error and no windows.

    The page reads as Magenta does, and takes only grooves that Magenta trains on.
    """
    sequence, report = read_magenta(path.read_bytes()), WindowReport()
    to_grid(sequence, layout, report)
    for reason in report.unused:
        if "4/4" in reason or "changes" in reason:
            return "4/4" if "4/4" in reason else "changes", 0, np.zeros(0)
    segments = to_segments(sequence, layout, WindowReport())
    return segments.tempo_qpm, segments.bars, segments.outputs


def test_files_are_read_as_in_python(
    site: Site, open_page: OpenPage, gmd: Path, tmp_path: Path
) -> None:
    paths = sorted(gmd.glob("drummer[1-8]/session1/*_fill_4-4.mid"))[::20]
    ahead = a_groove(bars=4)  # its last hit is just ahead of the last bar line
    ahead.notes[-1].start_time, ahead.notes[-1].end_time = 7.94, 8.0
    paths.append(write_midi(ahead, tmp_path / "ahead.mid"))
    # It has two equally loud hits of one drum and 16th, of which the first to end counts.
    paths.append(gmd / "drummer8" / "session2" / "25_latin_84_beat_4-4.mid")
    for i, meters in enumerate(METERS):
        paths.append(tmp_path / f"{i}.mid")
        note_seq.sequence_proto_to_midi_file(a_groove(meters=meters), str(paths[-1]))
    files = [list(path.read_bytes()) for path in paths]
    layout = dataclasses.replace(
        config_map.layout(config_map.get_config("groovae_4bar")), pitch_classes=GM
    )
    found = open_page(site.url).evaluate(READ, [site.url, files, GM])
    for path, (tempo_or_error, bars, tensors) in zip(paths, found, strict=True):
        expected, expected_bars, outputs = read_in_python(path, layout)
        if isinstance(expected, str):
            assert expected in tempo_or_error
        else:
            assert (tempo_or_error, bars) == (expected, expected_bars)
        windows = np.zeros_like(outputs)
        for number, tensor in tensors:
            windows[number] = np.reshape(tensor, (64, 27))
        np.testing.assert_array_equal(windows, outputs)


def test_unusable_file_is_an_error_until_the_next_groove(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(site.url)
    error, before = page.locator("#file-error"), hits_in(page)
    for i, (content, words) in enumerate(UNUSABLE):
        path = tmp_path / str(i) / "<img src=x onerror=alert(1)>.mid"
        path.parent.mkdir()
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            note_seq.sequence_proto_to_midi_file(a_groove(**content), str(path))
        page.locator("#file").set_input_files(path)
        page.wait_for_selector(f"#file-error:has-text('{words}')")
        assert error.inner_text().startswith(f"{path.name}: ")
        box = error.bounding_box()
        assert 0 <= box["y"] < page.viewport_size["height"]
        assert page.locator("#name").inner_text() == "Groove 1"
        assert page.locator("#dropped").is_hidden()
        assert hits_in(page) == before
    page.locator("#generate").click()
    wait_for_name(page, "Groove 3")
    assert error.inner_text() == ""


# Showing a file


def test_file_is_reconstructed_or_shown_as_it_is(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    page = open_page(site.url)
    set_slider(page, "temperature", 0)
    for qpm in (100, 240):
        groove = a_groove(bars=8, tempos=[(0, qpm)])
        for time in (1, 2, 3):
            groove.notes.add(start_time=time, end_time=time + 0.1, pitch=100, velocity=9)
            groove.notes[-1].is_drum = True
        path = write_midi(groove, tmp_path / f"{qpm}.mid")
        if qpm == 100:
            page.locator("#file").set_input_files(path)
        else:
            drop(page, path)
        wait_for_name(page, f"Reconstruction of {qpm}.mid")
        reconstructed = hits_in(page)
        assert page.locator("#tempo-value").inner_text() == f"{qpm} bpm"
        assert page.locator("#tempo").input_value() == str(qpm)
        assert "3 notes" in page.locator("#skipped").inner_text()
        assert page.locator("#file-error").inner_text() == ""
        segments = site.model.split(groovae.read_sequence(path))
        bars = ["1 to 16", "1 to 4", "5 to 8", "9 to 12", "13 to 16"]
        if qpm == 100:
            bars = ["1 to 7", "1 to 4", "5 to 7"]
        assert page.locator("#window option").all_inner_texts() == bars
        assert page.locator("#bars span").count() == segments.bars
        assert f" in {segments.bars} bars: " in page.locator("#summary").inner_text()
        tensors, _, _ = site.model.predict_windows(segments.outputs)
        assert len(reconstructed) > 10
        assert_same_hits(reconstructed, np.concatenate(tensors)[: 16 * segments.bars])

        page.get_by_label("original").check()
        wait_for_name(page, path.name)
        assert_same_hits(hits_in(page), np.concatenate(segments.outputs))
        roll = page.locator("#roll").inner_html()
        page.locator("#window").select_option(bars[2])
        page.wait_for_function("was => document.querySelector('#roll').innerHTML !== was", arg=roll)
        assert_same_hits(hits_in(page), segments.outputs[1])

    page.locator("#file").set_input_files(write_midi(a_groove(bars=300), tmp_path / "long.mid"))
    page.wait_for_selector("#skipped:has-text('300 bars, of which at most 256')")
    page.locator("#window").select_option("297 to 300")  # ends the processing of the others
    wait_for_name(page, "Reconstruction of long.mid")
    assert " in 4 bars: " in page.locator("#summary").inner_text()


def test_panel_marks_the_version_of_the_file_shown(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    path, groove = tmp_path / "beat.mid", a_groove()
    for note in groove.notes:
        note.is_drum = False
    note_seq.sequence_proto_to_midi_file(groove, str(path))
    page = open_page(site.url)
    versions = "[...document.querySelectorAll('[name=version]:checked')].map(({ value }) => value)"
    temperature_note, of_the_model = page.locator("#temperature-note"), ""
    for number in (3, 4):  # the same file twice
        with page.expect_file_chooser() as chooser:
            page.locator("#drop").click()
        chooser.value.set_files(path)
        wait_for_name(page, "Reconstruction of beat.mid")
        assert page.locator("#file-name").inner_text() == "beat.mid"
        assert "drum channel" in page.locator("#skipped").inner_text()
        assert page.evaluate(versions) == ["model"]
        of_the_model = temperature_note.inner_text()
        page.locator("#generate").click()
        wait_for_name(page, f"Groove {number}")
        assert page.evaluate(versions) == []
    page.get_by_label("original").check()
    wait_for_name(page, "beat.mid")
    assert page.evaluate(versions) == ["original"]
    assert temperature_note.inner_text().startswith("No effect")
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of beat.mid")
    assert page.evaluate(versions) == []
    assert temperature_note.inner_text() == of_the_model
    page.locator("#back").click()
    wait_for_name(page, "beat.mid")
    assert page.evaluate(versions) == ["original"]


def test_original_file_kept_as_an_end_is_unchanged(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    groove = a_groove(bars=12)  # without hits in bars 5 to 8
    notes = [note for note in groove.notes if not 7.9 < note.start_time < 15.9]
    del groove.notes[:]
    groove.notes.extend(notes)
    page = open_page(site.url)
    choose_original(page, write_midi(groove, tmp_path / "beat.mid"))
    original = hits_in(page)
    page.locator("#keep-a").click()
    set_slider(page, "share", 0.5)
    wait_for_name(page, "50 % of the way from A to B")
    assert " in 4 bars: " in page.locator("#summary").inner_text()  # as long as B
    set_slider(page, "share", 0)
    wait_for_name(page, "A")
    assert hits_in(page) == original
    page.locator("#vary").click()
    wait_for_name(page, "Variation 1 of A")
    assert {step // 64 for step, _ in cells_of(hits_in(page))} == {0, 2}
    assert hits_in(page) != original


def test_colours_of_early_and_late_hits_match_the_legend(
    site: Site, open_page: OpenPage, tmp_path: Path
) -> None:
    groove = a_groove(bars=4)
    for i, note in enumerate(groove.notes):
        note.start_time = 0.125 * (2 * i + (0.25, 0, -0.25)[i % 3])
    page = open_page(site.url)
    choose_original(page, write_midi(groove, tmp_path / "beat.mid"))
    labels = {-1: "early", 0: "on the 16th", 1: "late"}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        stems = page.eval_on_selector_all(
            "#roll path:not(.lane, .beat, .bar)[d*=M]",
            "paths => paths.map(path => [path.getAttribute('d'), getComputedStyle(path).stroke])",
        )
        legend = page.eval_on_selector_all(
            ".legend span",
            """keys => Object.fromEntries(keys.map(key =>
              [key.innerText, getComputedStyle(key.lastElementChild).backgroundColor]))""",
        )
        found: dict[int, set[str]] = {}
        for path, colour in stems:
            for x, _, _ in STEM.findall(path):
                found.setdefault(round(4 * (float(x) - round(float(x)))), set()).add(colour)
        assert found == {late: {legend[label]} for late, label in labels.items()}
        assert len(set(legend.values())) == 3


# Tasks


def assert_kept(hits: list[Hit], window: np.ndarray, drums: set[int]) -> None:
    """Check that the hits of these drums are those of a window, with any timing and velocity."""
    times = sorted((hit.drum, hit.time) for hit in hits if hit.drum in drums)
    steps = sorted((drum, step) for step, drum in np.argwhere(window[:, :9] > 0.5) if drum in drums)
    assert [drum for drum, _ in times] == [drum for drum, _ in steps]
    for (_, time), (_, step) in zip(times, steps, strict=True):
        assert abs(time - step) <= 0.5


@pytest.mark.parametrize(
    ("config_name", "kept", "unchanged"),  # drums with the same hits, and with the same feel too
    [
        ("groovae_2bar_humanize", set(range(9)), set()),
        ("groovae_2bar_hits_control_tfds", set(range(9)), set()),
        ("groovae_2bar_add_closed_hh", *2 * [set(range(9)) - {2}]),
        ("groovae_2bar_tap_fixed_velocity", set(), set()),
    ],
)
def test_model_of_a_task_processes_a_file_as_in_python(
    config_name: str, kept: set[int], unchanged: set[int], open_page: OpenPage, tmp_path: Path
) -> None:
    path = write_midi(a_groove(bars=2), tmp_path / "beat.mid")
    with export_random(tmp_path, config_name) as (model, url):
        page = open_page(url)
        set_slider(page, "temperature", 0)
        page.locator("#file").set_input_files(path)
        page.wait_for_selector("#name:has-text('beat.mid')")
        at_temperature_0 = hits_in(page)
        set_slider(page, "temperature", 1.5)
        sampled = hits_in(page)
        page.locator("#vary").click()
        page.wait_for_selector("#name:has-text('Variation 1 of ')")
        varied = hits_in(page)
        window = model.split(groovae.read_sequence(path)).outputs[0]
        arrays = page.evaluate(PROCESS, [url, window.reshape(-1).tolist()])
    tensors, mu, sigma = model.predict_windows(window[np.newaxis])
    is_unchanged = np.isin(np.arange(27) % 9, list(unchanged))
    assert_same_hits(at_temperature_0, np.where(is_unchanged, window, tensors[0]))
    assert sampled != at_temperature_0
    for hits in (at_temperature_0, sampled, varied):
        assert_kept(hits, window, kept)
        assert_same_hits([hit for hit in hits if hit.drum in unchanged], window * is_unchanged)
    found = {name: np.array(values, np.float32) for name, values in arrays.items()}
    np.testing.assert_allclose(found["mu"], mu[0], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["sigma"], sigma[0], rtol=0, atol=1e-5)
    spread = found["direction"] * found["sigma"] * (len(kept) == 9)  # if no hit is sampled
    np.testing.assert_allclose(found["spread"], spread, rtol=1e-6)
    new = found["tensor"].reshape(-1, 27)
    if config_name == "groovae_2bar_hits_control_tfds":  # its hits are controls
        np.testing.assert_array_equal(new[:, :9], window[:, :9])
    else:
        decoded = model.decode_to_tensors(found["z"][np.newaxis], 2, temperature=0)[0]
        expected = decoded * np.tile(decoded[:, :9], 3)
        np.testing.assert_allclose(new, expected, rtol=0, atol=0.6 / 127)
