"""The report page as a file: its contents, and that it escapes names."""

import base64
import dataclasses
import html.parser
import io
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Groovae, assert_one_line
from make_study import (
    FEW,
    GIVEN_HITS,
    HOSTILE,
    hostile_page,
    large_page,
    of_task,
    shared_study,
    small_page,
)

from groovae.data.styles import UNKNOWN, styles_of
from groovae.errors import GroovaeError
from groovae.evaluation.study import Study
from groovae.music.drums import CLASS_NAMES, GM
from groovae.music.sound import RING_SECONDS, SAMPLE_RATE
from groovae.report import charts, check, encoding, figures, rolls, summary, write
from groovae.report.latent_map import latent_map, principal_plane
from groovae.report.pairs import CAPTIONS, choose_windows, format_scores

pytestmark = pytest.mark.usefixtures("equal_batches")

soundfile: Any = pytest.importorskip("soundfile")
VOID = {"meta", "link", "input", "br", "img"}


@pytest.fixture(scope="module")
def study(equal_batches: None, request: pytest.FixtureRequest) -> Study:
    return shared_study(request)


@pytest.fixture(scope="module")
def page(study: Study, shared_folder: Path) -> str:
    return small_page(study, shared_folder).read_text("utf-8")


@pytest.fixture(scope="module")
def hostile(study: Study, shared_folder: Path) -> str:
    return hostile_page(study, shared_folder).read_text("utf-8")


class Reader(html.parser.HTMLParser):
    """The elements of a page with their attributes; checks that they are nested."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def data_in(page: str) -> Any:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    return json.loads(text)


def window_of(*hits: tuple[int, int, float, float], bars: int = 4) -> np.ndarray:
    """Hits as step, drum, velocity 0 to 1 and offset -1 to 1."""
    window = np.zeros((16 * bars, 27), np.float32)
    for step, drum, velocity, offset in hits:
        window[step, [drum, drum + 9, drum + 18]] = 1, velocity, offset
    return window


def test_page_is_self_contained(page: str) -> None:
    read = Reader(page)
    links = [
        value
        for _, attributes in read.elements
        for name, value in attributes.items()
        if value and name in ("src", "href", "xlink:href", "data", "action", "poster", "srcset")
    ]
    assert len(links) > 50
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"@import|url\((?!#)", page)


def test_policy_allows_own_script_only(page: str) -> None:
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]


def test_ids_are_unique_and_references_resolve(page: str) -> None:
    read = Reader(page)
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    markup = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    named = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', markup)
    assert {one or other for one, other in named} <= set(ids)


def test_same_study_gives_same_bytes(study: Study, hostile: str, tmp_path: Path) -> None:
    """Without sound, which is rendered twice below."""
    assert hostile_page(study, tmp_path).read_text("utf-8") == hostile


def test_page_has_every_score_and_baseline(study: Study, page: str) -> None:
    for metric, score in study.results["scores"].items():
        assert f"<td>{summary.text(metric, score['value'])}<small>" in page
    for baseline in study.results["baselines"].values():
        assert f'<th scope="row">{baseline["label"]}</th>' in page


def test_every_groove_has_a_roll_and_a_sound(study: Study, page: str) -> None:
    grooves = 4 + 3 + len(study.interpolation)
    assert page.count('<svg class="roll" viewBox=') == grooves
    assert page.count('src="data:audio/mpeg;base64,') == grooves
    assert "more samples" not in page


def test_script_data_matches_the_windows(study: Study, page: str) -> None:
    data = data_in(page)
    for name, windows in (("original", study.reference), ("reconstruction", study.predictions)):
        hits = np.frombuffer(base64.b64decode(data[name]["hits"]), np.uint8).reshape(-1, 4)
        assert data[name]["counts"] == (windows[..., :9] > 0.5).sum(axis=(1, 2)).tolist()
        expected = [hit for window in windows for hit in rolls.hits_of(window)]
        np.testing.assert_array_equal(hits[:, :3], [hit[:3] for hit in expected])
        late = (hits[:, 3].astype(float) - 128) / 127 / 2
        np.testing.assert_allclose(late, [hit.late_steps for hit in expected], atol=0.002)


def test_points_have_file_bar_and_tempo(study: Study, page: str) -> None:
    data = data_in(page)
    drawn = page.partition('id="map-points"')[2].partition("</svg>")[0]
    assert len(data["points"]) == len(study.sources)
    assert len(data["points"]) == drawn.partition('<g id="map-matplotlib')[0].count("<use ")
    for point, source in zip(data["points"], study.sources, strict=True):
        assert data["files"][point["file"]] == source.filename
        assert point["bar"] == source.first_bar + 1
        assert point["qpm"] == pytest.approx(source.tempo_qpm, abs=1e-3)


def test_names_are_escaped(hostile: str) -> None:
    assert hostile.count("<script") == 2
    assert hostile.count("</script") == 2
    assert "<script>alert" not in hostile
    assert data_in(hostile)["files"] == [HOSTILE]
    Reader(hostile)


def test_single_silent_window(study: Study, tmp_path: Path) -> None:
    nothing = np.zeros((1, 64, 27), np.float32)
    one = dataclasses.replace(
        study,
        reference=nothing,
        predictions=nothing,
        tempo_qpm=study.tempo_qpm[:1],
        sources=study.sources[:1],
        mu=study.mu[:1],
        sigma=study.sigma[:1],
        samples=nothing[:0],
        interpolation=nothing[:0],
        interpolation_ends=(0, 0),
        training=[],
        validation=[],
        training_config={},
        results={
            **study.results,
            "samples": None,
            "baselines": {},
            "baseline_examples": None,
            "by_drum": {},
            "by_position": [],
            "scores": {"hit_f1": {"value": None, "low": None, "high": None}},
        },
    )
    write(tmp_path / "report.html", one)
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Samples</h2>" not in page
    assert not Reader(page).all("audio")
    assert len(data_in(page)["points"]) == 1
    Reader(page)


def test_page_without_synthesizer(hostile: str) -> None:
    assert "sound needs the package tinysoundfont" in hostile
    assert not Reader(hostile).all("audio")
    assert not [each for each in Reader(hostile).all("button") if each.get("class") == "play"]


def test_size_of_page_with_100_samples(study: Study, shared_folder: Path) -> None:
    path = large_page(study, shared_folder)
    assert path.stat().st_size < 15e6
    page = path.read_text("utf-8")
    assert "Sample 100</span>" in page
    assert "94 more samples" in page


def test_error_keeps_the_old_page(study: Study, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    options = FEW._replace(soundfont=tmp_path / "none.sf2")
    with pytest.raises(GroovaeError, match=r"none\.sf2"):
        write(tmp_path / "report.html", study, options=options)
    assert (tmp_path / "report.html").read_text() == "old"
    with pytest.raises(GroovaeError, match=r"none\.sf2"):
        check(tmp_path / "report.html", options)
    with pytest.raises(GroovaeError, match=re.escape(str(tmp_path))):
        check(tmp_path, FEW)


def test_no_windows_raise(study: Study, tmp_path: Path) -> None:
    empty = dataclasses.replace(study, reference=study.reference[:0])
    with pytest.raises(GroovaeError, match="no windows"):
        write(tmp_path / "report.html", empty)


def test_charts_use_css_colours(page: str) -> None:
    found = re.findall(r'<svg class="chart".*?</svg>', page, re.DOTALL)
    assert len(found) > 12
    for chart in found:
        assert not re.search(r"#[0-9a-fA-F]{6}\b(?!\")", re.sub(r'"#[^"]*"', "", chart))
        texts = re.findall(r"<text[^>]*>", chart)
        assert texts
        assert all("fill: var(--" in text for text in texts)


def test_css_defines_all_colours_for_light_and_dark() -> None:
    style = (ROOT / "groovae" / "report" / "page.css").read_text()
    for colour in charts.COLOURS:
        assert re.search(rf"--{colour}: light-dark\(#\w{{6}}, #\w{{6}}\);", style)


def test_roll_draws_hits_at_their_time() -> None:
    window = window_of((0, 0, 1.0, 0.5), (17, 1, 0.5, -0.5))
    drawn = rolls.roll(window)
    kick, snare = rolls.LANE_OF[0], rolls.LANE_OF[1]
    assert f'<path class="early" d="M-0.25 {kick + 0.94}v-0.88"/>' in drawn
    assert f'<path class="late" d="M17.25 {snare + 0.94:.2f}v-' in drawn
    assert 'aria-label="2 hits in 4 bars: kick 1, snare 1"' in drawn
    assert rolls.LANES[kick] == "kick"


def test_prediction_marks_missed_and_added_hits() -> None:
    original = window_of((0, 0, 1, 0), (4, 1, 1, 0), (5, 1, 1, 0))
    drawn = rolls.roll(window_of((0, 0, 1, 0), (8, 2, 1, 0)), original)
    snare, hihat = rolls.LANE_OF[1] + 0.5, rolls.LANE_OF[2] + 0.5
    assert f'<path class="missed" d="M4 {snare}h0M5 {snare}h0"/>' in drawn
    assert f'<path class="added" d="M8 {hihat}h0"/>' in drawn
    assert "2 hits in 4 bars: kick 1, closed hi-hat 1; missed 2, added 1" in drawn
    assert "missed" not in rolls.describe(original)


def test_nan_velocity_and_offset_of_a_hit() -> None:
    assert rolls.hits_of(window_of((3, 0, np.nan, np.nan))) == [rolls.Hit(3, 0, 1, 0.0)]


def test_groove_matches_magenta(study: Study) -> None:
    from groovae.generation.grooves import from_tensors

    for window in study.reference[:20]:
        ours = rolls.groove_of(window, 96.0)
        theirs = from_tensors(window, 4, 96.0, GM)
        assert ours.total_time == pytest.approx(theirs.total_time)
        assert [(n.pitch, n.velocity) for n in ours.notes] == [
            (n.pitch, n.velocity) for n in theirs.notes
        ]
        np.testing.assert_allclose(
            [(n.start_time, n.end_time) for n in ours.notes],
            [(n.start_time, n.end_time) for n in theirs.notes],
            atol=1e-6,
        )


def test_sound_has_exact_duration() -> None:
    groove = rolls.groove_of(window_of((0, 0, 1, 0.5), (20, 1, 1, 0)), 120.0)
    sound, again = encoding.sounds([groove, groove])
    assert again == sound
    head, content = sound.uri.split(",")
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)))
    assert head == "data:audio/mpeg;base64"
    assert rate == SAMPLE_RATE
    assert sound.lead_seconds == pytest.approx(0.03125)
    assert len(samples) / rate == pytest.approx(8 + RING_SECONDS + 0.03125, abs=1e-4)
    assert sound.seconds == pytest.approx(len(samples) / rate)
    assert np.abs(samples).max() > 0.05


def test_one_shots() -> None:
    shots = encoding.one_shots()
    assert [len(uris) for uris in shots] == [len(encoding.VELOCITIES)] * len(CLASS_NAMES)
    assert sum(len(uri) for uris in shots for uri in uris) < 500_000
    for uris in shots:
        loudness = []
        for uri in uris:
            samples, _ = soundfile.read(io.BytesIO(base64.b64decode(uri.split(",")[1])))
            loudness.append(np.square(samples).sum())
        assert loudness == sorted(loudness)
        assert loudness[0] > 0


def test_styles_from_table_or_file_name(small_dataset: Path) -> None:
    files = ["a.mid", "c.mid", "drummer1/s/1_funk-groove1_138_beat_4-4.mid", "x_y.mid", HOSTILE]
    assert styles_of(files, small_dataset) == ["funk", "rock", "funk", UNKNOWN, UNKNOWN]
    assert styles_of(files) == [UNKNOWN, UNKNOWN, "funk", UNKNOWN, UNKNOWN]
    with pytest.raises(GroovaeError, match=r"info\.csv"):
        styles_of(files, small_dataset / "nowhere")


def test_rare_styles_share_a_colour(study: Study) -> None:
    styles = [f"style {i % 12}" for i in range(len(study.mu))]
    found = latent_map(study, styles)
    assert [style.number for style in found.legend] == list(range(8))
    assert sum(style.windows for style in found.legend) == len(study.mu)
    assert found.legend[-1].name == "others"
    point = next(p for p in found.data["points"] if p["style"] == "style 11")
    assert point["colour"] == 7


def test_principal_plane() -> None:
    rng = np.random.RandomState(0)
    mu = (rng.randn(300, 6) * [0.1, 5, 0.1, 2, 0.1, 0.1] + 7).astype(np.float32)
    points, shares = principal_plane(mu)
    assert abs(np.corrcoef(points[:, 0], mu[:, 1])[0, 1]) > 0.999
    assert abs(np.corrcoef(points[:, 1], mu[:, 3])[0, 1]) > 0.999
    assert shares == pytest.approx((25 / 29, 4 / 29), abs=0.03)
    np.testing.assert_allclose(points.mean(axis=0), 0, atol=1e-6)


def test_chosen_windows_range_from_best_to_worst(study: Study) -> None:
    estimate = study.reference.copy()
    estimate[5], estimate[9] = 0, study.reference[9] * (np.arange(64) < 32)[:, None]
    mixed = dataclasses.replace(study, predictions=estimate)
    chosen = choose_windows(mixed, 200)
    assert chosen[-2:] == [9, 5]
    assert choose_windows(mixed, 2) == [chosen[0], 5]
    assert choose_windows(mixed, 0) == []


def test_windows_are_ranked_by_the_added_drum(study: Study) -> None:
    config, hihat = "groovae_2bar_add_closed_hh", 2
    one = of_task(study, config, *study.results["scores"], add_instruments=(hihat,))
    estimate = study.reference.copy()
    estimate[..., hihat] = 0
    silent = dataclasses.replace(one, predictions=estimate)
    chosen = choose_windows(silent, 500)
    assert chosen == np.flatnonzero(study.reference[..., hihat].any(axis=1)).tolist()
    assert format_scores(silent, chosen[0]).startswith("hit F1 0.000, ")


def test_windows_with_given_hits_are_ranked_by_timing(study: Study, hostile: str) -> None:
    one = of_task(study, "groovae_2bar_humanize", *GIVEN_HITS, humanize=True)
    estimate = study.reference.copy()
    estimate[3, :, 18:] = 1 * (estimate[3, :, :9] > 0.5)
    one = dataclasses.replace(one, predictions=estimate)
    assert choose_windows(one, 2)[-1] == 3
    assert format_scores(one, 3).startswith("timing error ")
    assert f"<h2>{CAPTIONS['humanize'].heading}</h2>" in hostile
    assert not re.search(r"Reconstructions|<span>Reconstruction<", hostile)
    assert "worst timing error." in hostile
    assert "was not trained on" in hostile


def test_page_shows_warnings(study: Study, page: str) -> None:
    (warning,) = [line for line in study.results["warnings"] if "baselines" in line]
    assert warning in page.partition("<dl")[0]
    assert "was not trained on" not in page


def test_check_finds_unwritable_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GroovaeError, match=r"cannot write .*file"):
        check(tmp_path / "file" / "pages" / "report.html", FEW)
    check(tmp_path / "new" / "pages" / "report.html", FEW)
    assert os.listdir(tmp_path) == ["file"]


def test_verdict_needs_intervals() -> None:
    score = {"timing_mae_ms": {"value": 10.0, "low": math.nan, "high": math.nan}}
    baselines = {"a": {"label": "near", "all_hits": score, "same_hits": score}}
    results = {"scores": {"timing_mae_ms": {"value": 9.0}}, "baselines": baselines}
    results["latent"] = {"active_dimensions": None, "dimensions": 4}
    (headline,) = summary.headlines(results)
    assert headline.verdict == "too few recordings"
    ((_, cells),) = summary.table(results).groups[0][1]
    (cell,) = [each for each in cells if each[0]]
    assert cell == ("9.0", "")
    (figure,) = figures.score_figures(results)
    assert "intervals" not in figure.caption


def test_detail_charts_omit_missing_scores() -> None:
    by_drum = {"kick": {"hit_f1": 0.5}, "snare": {"hit_f1": math.nan}, "ride": {"hit_f1": None}}
    by_position = [{"hit_f1": 0.25}, *[{"hit_f1": math.nan}] * 15]
    drums, places = figures.detail_figures({"by_drum": by_drum, "by_position": by_position})
    assert 'aria-label="hit F1: kick 0.500"' in drums.svg
    assert "snare" not in drums.svg
    assert 'aria-label="hit F1 by 16th of the bar: 0.250, n/a, ' in places.svg


@pytest.mark.parametrize(
    ("worse", "verdict"),
    [(1.0, "better"), (0.975, "better"), (0.5, "no clear difference"), (0.01, "worse")],
)
def test_verdict_depends_on_the_draws(worse: float, verdict: str) -> None:
    def score(value: float, **more: float) -> dict[str, dict[str, float]]:
        return {"timing_mae_ms": {"value": value, "low": value - 1, "high": value + 1, **more}}

    baselines = {
        "a": {"label": "near", "all_hits": score(10), "same_hits": score(18, worse=worse)},
        "b": {"label": "far", "all_hits": score(9), "same_hits": score(30, worse=0.7)},
    }
    (headline,) = summary.headlines({"scores": score(17.54), "baselines": baselines})
    assert headline[:3] == ("timing error", "17.5", "ms")
    assert headline.verdict == verdict
    assert headline.note == "best baseline: 18.0, near"


@pytest.mark.parametrize(
    ("flag", "status", "words"),
    [
        ("--soundfont=none.sf2", 1, ["none.sf2"]),
        ("--groove=nowhere", 1, ["nowhere", "info.csv"]),
        ("--out=.", 1, ["cannot write ."]),
        ("--out=/dev/null/x/report.html", 1, ["cannot write", "/dev/null"]),
        ("--out=/dev/stdout", 2, ["cannot write /dev/stdout", "device"]),
    ],
)
def test_errors_are_found_before_evaluation(
    flag: str, status: int, words: list[str], in_process: Groovae, trained: Path, tmp_path: Path
) -> None:
    result = in_process("report", f"--checkpoint={trained}", flag)
    assert_one_line(result, status, *words)
    assert os.listdir(tmp_path) == []
