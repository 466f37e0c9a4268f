"""Pictures and previews show every hit in its place."""

import functools
import math
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from groovae.errors import GroovaeError
from groovae.music.drums import CLASS_NAMES, DRUM_MAPS, GM
from groovae.music.midi_writer import Note
from groovae.music.picture import LOUD, MAX_BARS, MAX_TITLE, MEDIUM, NOTATION, draw, figure, preview

STEP_SECONDS = 0.125  # at 120 qpm
KICK, SNARE, CRASH, COWBELL = 36, 38, 49, 3
LANES = [*(CLASS_NAMES[drum] for drum in NOTATION), "other"]
MAX_PIXELS = 6_000_000


class Tempo(NamedTuple):
    qpm: float
    time: float = 0.0


class Groove(NamedTuple):
    """The fields of a NoteSequence that pictures use."""

    notes: Sequence[Note] = ()
    total_time: float = 0.0
    tempos: Sequence[Tempo] = ()
    time_signatures: Sequence[Any] = ()


def hit(step: float, pitch: int = KICK, velocity: int = 100) -> Note:
    return Note(step * STEP_SECONDS, step * STEP_SECONDS + 0.05, pitch, velocity)


def bars(count: float, *notes: Note) -> Groove:
    return Groove(notes, count * 16 * STEP_SECONDS)


hits = st.builds(
    lambda step, late, drum, velocity: (step, late, drum, velocity),
    st.integers(0, 16 * 6 - 1),
    st.floats(-0.49, 0.49),
    st.integers(0, 9),
    st.integers(1, 127),
)


def groove_of(played: Sequence[tuple[int, float, int, int]]) -> Groove:
    pitches = [*(pitches[0] for pitches in GM), COWBELL]
    return bars(6, *(hit(step + late, pitches[drum], v) for step, late, drum, v in played))


def read(text: str) -> dict[tuple[str, int], str]:
    """Parse a preview into letters by lane and step."""
    letters: dict[tuple[str, int], str] = {}
    first = 0
    for line in text.splitlines():
        if re.fullmatch(r"[ \d]+", line):
            first = (int(line.split()[0]) - 1) * 16
        elif "|" in line:
            name, steps = line.split("|", 1)
            for step, letter in enumerate(re.sub(r"[ |]", "", steps)):
                if letter != ".":
                    letters[name.strip(), first + step] = letter
    return letters


def letter(velocity: int) -> str:
    return "o" if velocity < MEDIUM else "x" if velocity < LOUD else "X"


# Previews


@given(st.lists(hits, max_size=60), st.integers(10, 200))
def test_preview_has_a_letter_for_every_hit(
    played: list[tuple[int, float, int, int]], width: int
) -> None:
    loudest: dict[tuple[str, int], int] = {}
    for step, _, drum, velocity in played:
        name = [*CLASS_NAMES, "other"][drum]
        loudest[name, step] = max(velocity, loudest.get((name, step), 0))
    text = preview(groove_of(played), width=width)
    assert read(text) == {place: letter(velocity) for place, velocity in loudest.items()}


@given(st.lists(hits, max_size=60), st.integers(35, 200), st.integers(1, 9))
def test_preview_lines_are_ascii_and_fit_the_width(
    played: list[tuple[int, float, int, int]], width: int, max_bars: int
) -> None:
    text = preview(groove_of(played), width=width, max_bars=max_bars)
    assert text.isascii()
    assert text == text.strip("\n")
    assert all(len(line) <= width and line == line.rstrip() for line in text.split("\n"))


def test_preview_of_a_beat() -> None:
    groove = bars(2, *(hit(4 * i) for i in range(8)), hit(4.2, SNARE, 70), hit(29.7, SNARE, 30))
    assert preview(groove) == (
        "       1                   2\n"
        "snare |.... x... .... ....|.... .... .... ..o.|\n"
        "kick  |X... X... X... X...|X... X... X... X...|\n"
        "o soft  x medium  X loud"
    )


def test_preview_lines_hold_as_many_bars_as_fit() -> None:
    groove = bars(8, *(hit(16 * i) for i in range(8)))
    for width, count in ((46, 2), (45, 1), (26, 1), (5, 1), (0, 1), (-3, 1), (500, 8)):
        first_line = preview(groove, width=width).splitlines()[0]
        assert first_line.split() == [str(i + 1) for i in range(count)]


def test_preview_lanes_go_from_the_kick_up_to_other() -> None:
    pitches = [*(pitches[0] for pitches in GM), COWBELL]
    text = preview(bars(1, *(hit(i, pitch) for i, pitch in enumerate(pitches))))
    assert [line.split("|")[0].strip() for line in text.splitlines()[1:-1]] == LANES[::-1]


def test_preview_counts_the_bars_that_it_leaves_out() -> None:
    groove = bars(20, hit(0), hit(16 * 10, CRASH))
    text = preview(groove)
    assert text.endswith("\n... and 12 bars more")
    assert "crash" not in text
    assert preview(groove, max_bars=19).endswith("\n... and 1 bar more")
    assert "more" not in preview(groove, max_bars=20)
    assert preview(groove, max_bars=0) == preview(groove, max_bars=1)


def test_preview_of_an_empty_groove() -> None:
    assert preview(bars(4)) == "no hit in 4 bars"
    assert preview(Groove()) == "no hit in 1 bar"
    assert preview(bars(12)) == "no hit in 8 bars\n... and 4 bars more"


def test_hits_near_the_ends_are_in_the_first_and_last_column() -> None:
    text = preview(bars(1, hit(-0.3, SNARE), hit(15.4), hit(15.9, CRASH)))
    assert read(text) == {("snare", 0): "X", ("kick", 15): "X", ("crash", 15): "X"}


def test_hit_after_the_end_adds_bars() -> None:
    assert read(preview(bars(1, hit(16)))) == {("kick", 16): "X"}


def test_rounding_errors_add_no_bar() -> None:
    groove = Groove([hit(0)], math.nextafter(4 * 2.0, 9), [Tempo(120.0)])
    assert preview(groove, width=200).splitlines()[0].split() == ["1", "2", "3", "4"]


def test_tempo_of_the_groove_is_used() -> None:
    slow = Groove([hit(8)], 4.0, [Tempo(60.0)])
    assert read(preview(slow)) == {("kick", 4): "X"}


def test_drum_map_assigns_the_lanes() -> None:
    assert read(preview(bars(1, hit(0, 43)), GM)) == {("low tom", 0): "X"}
    assert read(preview(bars(1, hit(0, 56)), DRUM_MAPS["roland"])) == {("other", 0): "X"}


@pytest.mark.parametrize(
    "groove",
    [
        Groove([hit(math.nan)]),
        Groove([hit(math.inf)]),
        Groove([], math.nan),
        Groove([hit(0)], 1.0, [Tempo(0.0)]),
        Groove([hit(0)], 1.0, [Tempo(math.nan)]),
    ],
)
def test_non_finite_times_and_tempos_are_errors(groove: Groove, tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match="not finite"):
        preview(groove)
    with pytest.raises(GroovaeError, match="not finite"):
        draw(tmp_path / "groove.png", groove)
    assert not list(tmp_path.iterdir())


def test_preview_counts_the_bars_of_a_huge_length() -> None:
    assert preview(Groove([hit(0)], 2e15)).endswith("... and 999,999,999,999,992 bars more")


# Pictures


def pixels(page: Any) -> np.ndarray:
    """Return the picture as float [height, width, 3], 0 to 255."""
    page.canvas.draw()
    return np.asarray(page.canvas.buffer_rgba())[..., :3].astype(float)


@functools.cache
def empty_pixels(count: float) -> np.ndarray:
    return pixels(figure(bars(count)))


def stem(groove: Groove) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the pixels that a single hit changes, except the name of its lane.

    Returns:
      The rows and the columns it takes, and its mean colour.
    """
    page = figure(groove)
    drawn, empty = pixels(page), empty_pixels(groove.total_time / 2)
    changed = np.abs(drawn - empty).sum(-1) > 60
    changed[:, : round(page.axes[0].get_window_extent().x0)] = False
    rows, columns = np.nonzero(changed)
    return rows, columns, drawn[changed].mean(0)


def place(groove: Groove, step: float) -> float:
    """Return the pixel column of a step in the first line."""
    return float(figure(groove).axes[0].transData.transform((step, 0))[0])


@settings(max_examples=8)
@given(st.integers(0, 63), st.floats(-0.45, 0.45), st.sampled_from([KICK, SNARE, CRASH]))
def test_stem_is_at_the_time_of_its_hit(step: int, late: float, pitch: int) -> None:
    groove = bars(4, hit(step + late, pitch, 127))
    rows, columns, _ = stem(groove)
    upper_half = columns[rows < (rows.min() + rows.max()) / 2]  # without the foot
    assert abs(upper_half.mean() + 0.5 - place(groove, step + late)) <= 1.5


@settings(max_examples=5)
@given(st.lists(st.integers(1, 127), min_size=2, max_size=3, unique=True))
def test_louder_hits_have_higher_stems(velocities: list[int]) -> None:
    heights = [len(set(stem(bars(1, hit(2, KICK, v)))[0])) for v in sorted(velocities)]
    assert heights == sorted(heights)
    if max(velocities) - min(velocities) > 16:
        assert heights[0] < heights[-1]


def test_early_is_blue_and_late_is_red_with_a_foot_to_the_line() -> None:
    for late in (-0.4, 0.4):
        groove = bars(1, hit(4 + late))
        _, columns, (red, _, blue) = stem(groove)
        assert (red > blue) == (late > 0)
        assert columns.min() - 2 <= place(groove, 4) <= columns.max() + 2


def test_hit_on_the_line_is_grey() -> None:
    _, _, (red, green, blue) = stem(bars(1, hit(4)))
    assert max(red, green, blue) - min(red, green, blue) < 5


def test_hit_before_the_start_is_left_of_the_first_line() -> None:
    groove = bars(4, hit(-0.45))
    _, columns, _ = stem(groove)
    assert columns.min() < place(groove, 0) - 5


def test_kick_is_the_lowest_lane_and_crash_the_highest() -> None:
    rows = [stem(bars(1, hit(4, GM[drum][0])))[0].max() for drum in NOTATION]
    assert rows == sorted(rows, reverse=True)
    assert len(set(rows)) == len(NOTATION)


def names(page: Any) -> list[str]:
    return [text.get_text() for axes in page.axes for text in axes.texts]


def test_lanes_bars_and_beats_are_labelled() -> None:
    lines = names(figure(bars(6, hit(0))))
    assert [name for name in lines if name in LANES] == LANES[:-1] * 2
    assert {"1", "2", "3", "4", "5", "6"} <= set(lines)
    assert "7" not in lines
    assert "on the 16th" in lines
    assert "31 ms early, or more" in lines


def test_pitch_without_a_class_adds_a_lane() -> None:
    assert "other" in names(figure(bars(1, hit(0, COWBELL))))
    assert "other" not in names(figure(bars(1, hit(0, 42))))


def test_lines_have_four_bars() -> None:
    assert [len(figure(bars(count)).axes) - 1 for count in (1, 4, 5, 8, 9)] == [1, 1, 2, 2, 3]
    early_for_bar_5 = bars(8, hit(16 * 4 - 0.2))
    assert stem(early_for_bar_5)[0].min() > len(empty_pixels(8)) / 2


def test_long_groove_is_cut_with_a_note() -> None:
    page = figure(bars(200, hit(0), hit(16 * 100, COWBELL)), title="long")
    assert page.texts[0].get_text() == f"long (bars 1 to {MAX_BARS} of 200)"
    assert len(page.axes) - 1 == MAX_BARS / 4
    assert "other" not in names(page)


@pytest.mark.parametrize("title", ["w" * 300, "$x_1^$", r"\frac{", "two\nlines", "太鼓 🥁", ""])
def test_any_title_is_drawn_in_one_line(
    title: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    draw(tmp_path / "groove.png", bars(1, hit(0)), title=title)
    headline = figure(bars(1), title=title).texts[0].get_text()
    assert len(headline) <= MAX_TITLE
    assert headline in (title, "two lines", f"{'w' * (MAX_TITLE - 3)}...")
    assert capfd.readouterr() == ("", "")


def test_long_title_fits_the_page() -> None:
    page = figure(bars(12_345), title="Funky drummers, " * 20)
    extent = page.texts[0].get_window_extent(page.canvas.get_renderer())
    assert extent.x1 <= page.bbox.width


@pytest.mark.parametrize("groove", [Groove(), bars(1), bars(4, hit(0)), bars(200, hit(0, COWBELL))])
def test_png_has_the_documented_size(groove: Groove, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "groove.png"
    draw(path, groove)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width * image.height <= MAX_PIXELS
        assert np.asarray(image).std() > 5
    assert os.listdir(path.parent) == ["groove.png"]


def test_png_is_reproducible(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        draw(tmp_path / name, bars(2, hit(3.3)))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_unwritable_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here already")
    with pytest.raises(GroovaeError, match="cannot write"):
        draw(tmp_path / "file" / "groove.png", bars(1))


def test_all_hits_of_gmd_have_a_lane(gmd: Path) -> None:
    notes, now = [], 0.0
    for message in mido.MidiFile(gmd / "drummer1" / "session1" / "102_funk_95_beat_4-4.mid"):
        now += message.time
        if message.type == "note_on" and message.velocity:
            notes.append(Note(now, now + 0.1, message.note, message.velocity))
    groove = Groove(notes, now, [Tempo(95.0)])
    assert len(read(preview(groove, DRUM_MAPS["roland"], max_bars=1000))) > 500
    assert "other" not in names(figure(groove, DRUM_MAPS["roland"]))


@pytest.mark.parametrize("cache", ["new", "file/no_folder_can_be_made_here"])
def test_first_picture_prints_nothing_and_does_not_import_pyplot(
    cache: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code = """
import sys, types
import groovae.music.picture
heavy = {"matplotlib", "tensorflow", "note_seq"} & set(sys.modules)
groove = types.SimpleNamespace(notes=[], total_time=2.0, tempos=[], time_signatures=[])
groovae.music.picture.draw(sys.argv[1], groove)
print(heavy, "matplotlib.pyplot" in sys.modules)
"""
    environment = {**os.environ, "MPLCONFIGDIR": str(tmp_path / cache)}
    result = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "groove.png"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "set() False\n", "")
