"""Tests of groovae.data.patterns: playable charts, human timing and velocities, GMD layout."""

import random
from collections import Counter
from pathlib import Path

import mido
import numpy as np
import pandas as pd
import pytest

from groovae.data import patterns
from groovae.data.patterns import CHARTS, DRUMS, FEELS, Performance, parse_chart
from groovae.errors import GroovaeError
from groovae.music.midi_writer import TICKS_PER_QUARTER

GMD_COLUMNS = [
    *("drummer", "session", "id", "style", "bpm", "beat_type", "time_signature"),
    *("midi_filename", "audio_filename", "duration", "split"),
]
KNOWN_PITCHES = {36, 37, 38, 42, 43, 44, 46, 47, 49, 50, 51, 53}
SAME_CLASS = {"SS": "SD", "PH": "CH", "RB": "RD"}  # GrooVAE has one class for each of these pairs
PERFORMANCES = list(patterns.performances(seed=0))
TRIPLET_STYLES = [style for style in FEELS if FEELS[style].delay_steps == patterns.TRIPLET]
SWUNG_STYLES = ["hiphop", "reggae", "neworleans/secondline"]

REST = "|----------------"
CHART = f"""
    120 ABACABAF
    CH |X-x-X-x-X-x-X-x-{REST * 4}|
    SD |----X--o----X---{REST * 4}|
"""


def steps(take: Performance) -> np.ndarray:
    """Return the time of each note in 16ths."""
    return np.array([note.start_time for note in take.notes]) * take.tempo_qpm / 15


def offsets_ms(take: Performance) -> np.ndarray:
    return (steps(take) - np.round(steps(take))) * 15_000 / take.tempo_qpm


def velocities(take: Performance) -> np.ndarray:
    return np.array([note.velocity for note in take.notes])


def of_drum(take: Performance, drum: str) -> np.ndarray:
    return np.array([note.pitch == DRUMS[drum][0] for note in take.notes])


def performances_of(style: str) -> list[Performance]:
    return [take for take in PERFORMANCES if take.style == style]


def arranged_bars(style: str) -> list[patterns.Bar]:
    bars, arrangements = parse_chart(style, CHARTS[style])
    crash = FEELS[style].crash
    return [bar for one in arrangements for bar in patterns._arrange(bars, one, crash)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path]]:
    root = tmp_path_factory.mktemp("patterns")
    return root, patterns.write_dataset(root)


# Charts


@pytest.mark.parametrize("style", CHARTS)
def test_charts_parse(style: str) -> None:
    bars, arrangements = parse_chart(style, CHARTS[style])
    assert list(bars) == list("ABCFG")
    assert all(any(set(cells) != {"-"} for cells in bar.values()) for bar in bars.values())
    assert len(arrangements) == 5
    assert all(len(one.form) == 8 and 60 <= one.tempo_qpm <= 200 for one in arrangements)
    assert len({one.tempo_qpm for one in arrangements}) == len(arrangements)


def test_styles_have_feels() -> None:
    assert set(FEELS) == set(CHARTS)
    assert all(set(feel.delay_ms) <= set(DRUMS) for feel in FEELS.values())


@pytest.mark.parametrize(
    ("good", "bad", "row"),
    [
        ("----X--o----X---", "----X--o----X--", "SD"),  # a step too few
        ("----X--o----X---", "----X--o----X----", "SD"),  # a step too many
        ("----X--o----X---", "----X--O----X---", "SD"),  # an unknown letter
        ("X-x-X-x-X-x-X-x-|", "", "CH"),  # a bar too few
        ("SD |", "XX |", "XX"),  # an unknown drum
        ("SD |", "CH |", "CH"),  # the same drum twice
        ("120 ABACABAF", "120 ABACABAD", "120 ABACABAD"),  # an unknown bar
        ("120 ABACABAF", "120 ABACABAF loud", "loud"),  # an unknown change
        ("120 ABACABAF", "ABACABAF", "ABACABAF"),  # no tempo
        ("120 ABACABAF", "120", "120"),  # no form
        ("120 ABACABAF", "120 ABAF,", ""),  # an empty arrangement
        ("120 ABACABAF", "0 ABAF", "0 ABAF"),
    ],
)
def test_invalid_chart_raises_with_style_and_row(good: str, bad: str, row: str) -> None:
    parse_chart("polka", CHART)
    with pytest.raises(ValueError, match="^polka: row '.*" + row):
        parse_chart("polka", CHART.replace(good, bad, 1))


@pytest.mark.parametrize("style", CHARTS)
def test_charts_are_playable_with_two_hands(style: str) -> None:
    for bar in arranged_bars(style):
        for step in range(16):
            played = [drum for drum, cells in bar.items() if cells[step] != "-"]
            assert len(set(played) - {"BD", "PH"}) <= 2, (step, played)
            assert not {"CH", "OH"} <= set(played), "a hi-hat is open or closed"
            classes = Counter(SAME_CLASS.get(drum, drum) for drum in played)
            assert max(classes.values(), default=0) <= 1, (step, played)


@pytest.mark.parametrize("style", TRIPLET_STYLES)
def test_triplet_styles_leave_third_16ths_empty(style: str) -> None:
    for bar in arranged_bars(style):
        assert all(set(cells[2::4]) == {"-"} for cells in bar.values())


def test_bars_after_fills_start_with_a_crash() -> None:
    bars, _ = parse_chart("rock", CHARTS["rock"])
    arrangement = patterns.Arrangement(120, "AFAB", ())
    first, fill, answer, last = patterns._arrange(bars, arrangement, crash=True)
    assert first["CR"] == answer["CR"] == "X---------------"
    assert first["CH"][0] == answer["CH"][0] == "-"
    assert "CR" not in fill
    assert "CR" not in last
    assert all("CR" not in bar for bar in patterns._arrange(bars, arrangement, crash=False))


@pytest.mark.parametrize(
    ("change", "drum", "cells"),
    [
        ("ride", "RD", "X-x-X-x-X-x-X-x-"),
        ("ride", "PH", "----x-------x---"),
        ("open", "OH", "X-x-X-x-X-x-X-x-"),
        ("toms", "LT", "X-x-X-x-X-x-X-x-"),
        ("stick", "SS", "----X--o----X---"),
        ("half", "SD", "--------X-----o-"),
        ("half", "CH", "X-x-X-x-X-x-X-x-"),
        ("quarters", "CH", "X---X---X---X---"),
        ("eighths", "CH", "X-x-X-x-X-x-X-x-"),
        ("sixteenths", "CH", "XoxoXoxoXoxoXoxo"),
    ],
)
def test_changes(change: str, drum: str, cells: str) -> None:
    bar = {
        "OH": "-" * 16,
        "CH": "X-x-X-x-X-x-X-x-",
        "SD": "----X--o----X---",
        "BD": "X-------X-x-----",
    }
    assert patterns.CHANGES[change](bar)[drum] == cells


# Performances


def test_number_of_performances_and_splits() -> None:
    assert len(PERFORMANCES) >= 72
    assert len({take.style for take in PERFORMANCES}) >= 12
    assert all(take.bars == 8 for take in PERFORMANCES)
    splits = Counter(take.split for take in PERFORMANCES)
    assert splits == {"train": 80, "validation": 10, "test": 10}
    assert {take.style for take in PERFORMANCES if take.split == "train"} == set(CHARTS)


def test_density_of_hits() -> None:
    hits_per_window = [len(take.notes) * 4 / take.bars for take in PERFORMANCES]
    assert 50 <= np.mean(hits_per_window) <= 90
    assert min(hits_per_window) > 30
    assert max(hits_per_window) < 130


@pytest.mark.parametrize("take", PERFORMANCES, ids=lambda take: f"{take.style}-{take.tempo_qpm}")
def test_notes_fit_the_grid(take: Performance) -> None:
    assert {note.pitch for note in take.notes} <= KNOWN_PITCHES
    assert all(1 <= note.velocity <= 127 for note in take.notes)
    assert take.notes == sorted(take.notes)
    assert take.notes[0].start_time >= 0
    assert all(note.end_time > note.start_time for note in take.notes)
    assert np.abs(steps(take) - np.round(steps(take))).max() < 0.47
    assert np.round(steps(take)).max() < take.bars * 16
    places = Counter(zip(np.round(steps(take)), (note.pitch for note in take.notes), strict=True))
    assert max(places.values()) == 1
    assert np.round(steps(take))[-1] >= take.bars * 16 - 16, "the last bar is played"


def test_seed_determines_performances() -> None:
    assert list(patterns.performances(seed=0)) == PERFORMANCES
    for take, other in zip(PERFORMANCES, patterns.performances(seed=1), strict=True):
        assert (take.style, take.tempo_qpm, take.split) == (
            other.style,
            other.tempo_qpm,
            other.split,
        )
        assert take.notes != other.notes


def test_performances_are_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "CHARTS", {"jazz/swing": CHARTS["jazz/swing"]})
    alone = [take.notes for take in patterns.performances(seed=0)]
    assert alone == [take.notes for take in performances_of("jazz/swing")]


def test_noise_is_reproducible_and_normal() -> None:
    rng = random.Random("groovae")
    assert [patterns._noise(rng) for _ in range(3)] == [
        -1.2773443325390883,
        -1.1797868006984389,
        0.3731237232560023,
    ]
    many = np.array([patterns._noise(rng) for _ in range(20_000)])
    assert abs(many.mean()) < 0.03
    assert abs(many.std() - 1) < 0.03
    assert np.abs(many).max() < 3.5


# Feel


def test_timing_spread() -> None:
    straight = [
        take for style in ("rock", "pop/soft", "soul/motown") for take in performances_of(style)
    ]
    spread_ms = [offsets_ms(take).std() for take in straight]
    assert min(spread_ms) > 5
    assert max(spread_ms) < 15
    at_the_limit = [np.abs(steps(take) - np.round(steps(take))) > 0.455 for take in PERFORMANCES]
    assert np.concatenate(at_the_limit).mean() < 0.02


def test_repeated_bars_differ() -> None:
    for take in PERFORMANCES:
        bars: dict[int, list[tuple[int, int, float]]] = {}
        for note, step in zip(take.notes, steps(take), strict=True):
            bar, place = divmod(round(step), 16)
            bars.setdefault(bar, []).append((place, note.velocity, round(step % 16, 3)))
        assert len({tuple(bar) for bar in bars.values()}) == take.bars


@pytest.mark.parametrize("style", [*SWUNG_STYLES, *TRIPLET_STYLES])
def test_swing_follows_the_feel(style: str) -> None:
    """The second and fourth 16th of a beat are delayed relative to the first as set by the feel."""
    for take in performances_of(style):
        place = np.round(steps(take)).astype(int)
        offset = steps(take) - place
        late = [offset[place % 4 == part].mean() - offset[place % 4 == 0].mean() for part in (1, 3)]
        delays = FEELS[style].delay_steps
        assert late == pytest.approx([delays[1], delays[3]], abs=0.12)


@pytest.mark.parametrize("style", ["rock", "punk", "dance/disco", "rock/metal"])
def test_straight_styles_have_no_delay(style: str) -> None:
    assert abs(np.concatenate([offsets_ms(take) for take in performances_of(style)]).mean()) < 6


def test_delays_of_drums() -> None:
    for take in performances_of("soul"):
        late = offsets_ms(take)
        assert late[of_drum(take, "SD")].mean() > late[of_drum(take, "BD")].mean() + 5
    for take in performances_of("punk")[:2]:
        early = offsets_ms(take)
        assert early[of_drum(take, "CH")].mean() < early[of_drum(take, "BD")].mean() - 2


def test_velocity_distribution() -> None:
    for take in PERFORMANCES:
        assert velocities(take).std() > 8
        assert (velocities(take) == 127).mean() < 0.2
    together = np.concatenate([velocities(take) for take in PERFORMANCES])
    assert together.std() > 20
    assert 60 < together.mean() < 90
    assert (together == 127).mean() < 0.02
    assert together.min() < 25


def test_velocity_follows_letter_and_step() -> None:
    """Accents, normal notes and ghost notes of one drum, and steps within a beat."""
    rng = random.Random(0)

    def mean(letter: str, step: int) -> float:
        return float(
            np.mean([patterns._velocity(letter, "SD", step, 1.0, rng) for _ in range(200)])
        )

    assert mean("X", 4) > mean("x", 4) + 15 > mean("o", 4) + 45
    assert mean("x", 0) > mean("x", 2) > mean("x", 3)


# Files


def test_midi_files_hold_the_notes(dataset: tuple[Path, list[Path]]) -> None:
    _, paths = dataset
    assert len(paths) == len(PERFORMANCES)
    for path, take in zip(paths, PERFORMANCES, strict=True):
        midi = mido.MidiFile(path)
        now, read, tempo = 0, [], 0.0
        for message in mido.merge_tracks(midi.tracks):
            now += message.time
            if message.type == "note_on" and message.velocity:
                read.append((now, message.note, message.velocity))
            elif message.type == "set_tempo":
                tempo = mido.tempo2bpm(message.tempo)
        assert tempo == pytest.approx(take.tempo_qpm, abs=1e-3)
        ticks_per_second = TICKS_PER_QUARTER * take.tempo_qpm / 60
        written = [
            (round(n.start_time * ticks_per_second), n.pitch, n.velocity) for n in take.notes
        ]
        assert sorted(read) == sorted(written)
        assert len({(tick, pitch) for tick, pitch, _ in read}) == len(read)


def test_info_csv_has_the_columns_of_gmd(dataset: tuple[Path, list[Path]]) -> None:
    root, paths = dataset
    info = pd.read_csv(root / "info.csv")
    assert list(info.columns) == GMD_COLUMNS
    assert [root / name for name in info.midi_filename] == paths
    assert all(path.is_file() for path in paths)
    assert info.id.is_unique
    assert info.midi_filename.is_unique
    assert set(info.beat_type) == {"beat"}
    assert set(info.time_signature) == {"4-4"}
    assert set(info.drummer) == {"drummer1"}
    assert info.audio_filename.isna().all()
    assert [*zip(info["style"], info.bpm, info.split, strict=True)] == [
        (take.style, take.tempo_qpm, take.split) for take in PERFORMANCES
    ]
    assert info.midi_filename[0] == "drummer1/session1/1_rock_116_beat_4-4.mid"
    assert info.duration.to_numpy() == pytest.approx(
        [mido.MidiFile(path).length for path in paths], abs=0.06
    )


def test_same_seed_writes_same_bytes(dataset: tuple[Path, list[Path]], tmp_path: Path) -> None:
    root, paths = dataset
    link = tmp_path / "again" / paths[0].relative_to(root)
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine")
    again = patterns.write_dataset(tmp_path / "again")
    assert not (tmp_path / "mine").exists()
    other = patterns.write_dataset(str(tmp_path / "other"), seed=1)
    assert (root / "info.csv").read_bytes() == (tmp_path / "again" / "info.csv").read_bytes()
    assert b"\r" not in (root / "info.csv").read_bytes()
    for path, same, different in zip(paths, again, other, strict=True):
        assert path.read_bytes() == same.read_bytes() != different.read_bytes()
        assert path.name == different.name


def test_unwritable_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GroovaeError, match="cannot write"):
        patterns.write_dataset(tmp_path / "file")
