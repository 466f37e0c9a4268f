"""Rendering: each hit sounds at its time and level, and bad soundfonts are errors."""

import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groovae.errors import GroovaeError
from groovae.music.drums import DRUM_MAPS, GM
from groovae.music.midi_writer import Note
from groovae.music.sound import INSTALL, MAX_SECONDS, SAMPLE_RATE, play, render, write_wav

KICK, SNARE, CLOSED_HIHAT, CRASH = 36, 38, 42, 49


class Groove(NamedTuple):
    """The fields of a NoteSequence that rendering uses."""

    notes: Sequence[Note] = ()
    total_time: float = 0.0


def hit(seconds: float, pitch: int = KICK, velocity: int = 100, length: float = 0.1) -> Note:
    return Note(seconds, seconds + length, pitch, velocity)


def sound(*notes: Note, seconds: float = 0.0, **options: Any) -> np.ndarray:
    """Render notes to float [samples, 2]; skip the test if the synthesizer is not installed."""
    pytest.importorskip("tinysoundfont")
    return render(Groove(notes, seconds), **options).astype(float)


def peak(samples: np.ndarray) -> float:
    return float(np.abs(samples).max())


def frame(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE)


@pytest.fixture(scope="session")
def default_font() -> bytes:
    pytest.importorskip("tinysoundfont")
    package = importlib.util.find_spec("pretty_midi")
    assert package
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "TimGM6mb.sf2").read_bytes()


# Samples


@settings(max_examples=8)
@given(
    st.lists(st.floats(0.3, 0.6), min_size=1, max_size=8),
    st.lists(st.tuples(st.sampled_from([KICK, SNARE]), st.integers(10, 127)), min_size=8),
)
def test_each_hit_sounds_within_a_millisecond_of_its_time(
    gaps: list[float], drums: list[tuple[int, int]]
) -> None:
    starts = np.cumsum(gaps)
    samples = sound(*(hit(start, *drum) for start, drum in zip(starts, drums, strict=False)))
    for start in starts:
        around = np.abs(samples[frame(start - 0.05) : frame(start + 0.1)]).max(1)
        onset = start - 0.05 + np.argmax(around > 0.05 * around.max()) / SAMPLE_RATE
        assert abs(onset - start) <= 0.001


@settings(max_examples=5)
@given(st.lists(st.integers(1, 127), min_size=2, max_size=6, unique=True))
def test_higher_velocity_is_louder(velocities: list[int]) -> None:
    samples = sound(*(hit(i, SNARE, v) for i, v in enumerate(sorted(velocities))))
    peaks = [peak(samples[i * SAMPLE_RATE : (i + 1) * SAMPLE_RATE]) for i in range(len(velocities))]
    assert peaks == sorted(peaks)
    assert len(set(peaks)) == len(peaks)


def test_silence_before_the_first_hit() -> None:
    samples = sound(hit(0.5))
    assert not samples[: frame(0.5)].any()
    assert samples[frame(0.5) : frame(0.501)].any()


def test_sound_ends_a_second_after_the_groove_or_its_last_hit() -> None:
    assert len(sound(hit(0), seconds=2)) == frame(3)
    assert len(sound(hit(2.5), seconds=2)) == frame(3.5)
    assert len(sound()) == frame(1)
    assert not sound().any()


def test_cymbal_fades_at_the_end() -> None:
    samples = sound(hit(0.9, CRASH, 127), seconds=1)
    assert peak(samples[-frame(0.4) : -frame(0.3)]) > 500
    assert peak(samples[-frame(0.001) :]) < 5


def test_first_hit_before_time_0_moves_the_groove() -> None:
    early = sound(hit(-0.02), hit(0.5, SNARE), seconds=2)
    assert np.array_equal(early, sound(hit(0.0), hit(0.52, SNARE), seconds=2.02))


def test_drum_rings_out_after_a_short_note() -> None:
    short = sound(hit(0, CRASH, length=0.0), seconds=2)
    assert np.array_equal(short, sound(hit(0, CRASH, length=2.0), seconds=2))
    assert peak(short[frame(1) : frame(1.2)]) > 100


def test_all_drums_at_once_do_not_clip() -> None:
    everything = [hit(1, pitch, 127) for pitches in GM for pitch in pitches]
    full, kick = sound(hit(0), *everything), sound(hit(0))
    assert 32700 < peak(full) <= 32767
    assert (np.abs(full) >= 32766).sum() <= 4, "a peak, not a plateau"
    ratio = peak(full[: frame(0.9)]) / peak(kick)
    assert ratio < 0.8
    assert np.abs(full[: frame(0.9)] - ratio * kick[: frame(0.9)]).max() <= 2


def test_hits_that_do_not_clip_add_up() -> None:
    both = sound(hit(0, KICK, 60), hit(0.1, SNARE, 60))
    alone = sound(hit(0, KICK, 60), seconds=0.1)[: len(both)] + sound(hit(0.1, SNARE, 60))
    assert np.abs(both - alone).max() <= 2


def test_drum_map_is_played_with_general_midi_pitches() -> None:
    roland = DRUM_MAPS["roland"]
    for pitches, (gm_pitch, *_) in zip(roland, GM, strict=True):
        played = sound(*(hit(i, pitch) for i, pitch in enumerate(pitches)), drum_map=roland)
        assert np.array_equal(played, sound(*(hit(i, gm_pitch) for i in range(len(pitches)))))


def test_gm_only_changes_pitches_that_no_kit_has() -> None:
    assert not np.array_equal(sound(hit(0, 35)), sound(hit(0, 36)))
    assert np.array_equal(sound(hit(0, 22)), sound(hit(0, 42)))
    assert np.array_equal(sound(hit(0, 26)), sound(hit(0, 46)))


def test_pitch_without_a_class_is_not_changed() -> None:
    cowbell = sound(hit(0, 56), drum_map=DRUM_MAPS["roland"])
    assert cowbell.any()
    assert np.array_equal(cowbell, sound(hit(0, 56)))


@pytest.mark.parametrize("note", [hit(0, 0), hit(0, 127), hit(0, 500), hit(0, -1), hit(0, 36, 0)])
def test_any_pitch_and_velocity_is_rendered(note: Note) -> None:
    assert len(sound(note)) == frame(1)


def test_many_hits_at_once_do_not_silence_later_hits() -> None:
    samples = sound(*(hit(0, CRASH, 1) for _ in range(300)), hit(2, SNARE))
    assert peak(samples[frame(2) : frame(2.1)]) > 5000


# Files


def test_wav_file_equals_render_and_is_reproducible(tmp_path: Path) -> None:
    groove = Groove([hit(-0.01), hit(0.5, SNARE), hit(0.7, CRASH, 127)], 2.0)
    samples = sound(*groove.notes, seconds=groove.total_time)
    for name in ("a.wav", "b.wav"):
        write_wav(tmp_path / "folder" / name, groove)
    a, b = ((tmp_path / "folder" / name).read_bytes() for name in ("a.wav", "b.wav"))
    assert a == b
    with wave.open(str(tmp_path / "folder" / "a.wav"), "rb") as file:
        assert file.getparams()[:4] == (2, 2, SAMPLE_RATE, len(samples))
        assert np.array_equal(np.frombuffer(file.readframes(10**9), "<i2"), samples.ravel())
    assert sorted(os.listdir(tmp_path / "folder")) == ["a.wav", "b.wav"]


@pytest.mark.parametrize(
    "groove",
    [
        Groove([hit(math.nan)]),
        Groove([hit(math.inf)]),
        Groove([hit(-math.inf)]),
        Groove([], math.nan),
        Groove([], math.inf),
        Groove([hit(MAX_SECONDS)]),
        Groove([hit(-MAX_SECONDS), hit(0)]),
    ],
)
def test_non_finite_or_long_times_are_errors(groove: Groove, tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    with pytest.raises(GroovaeError, match=r"^cannot render"):
        write_wav(tmp_path / "groove.wav", groove)
    assert not list(tmp_path.iterdir())


# Soundfonts


def test_soundfont_path_is_used(default_font: bytes, tmp_path: Path) -> None:
    font = tmp_path / "a font of ünüsual name.sf2"
    font.write_bytes(default_font)
    assert np.array_equal(sound(hit(0), soundfont=font), sound(hit(0)))


def _headers(font: bytes, field: int, values: Sequence[int]) -> bytes:
    """Return the font with 16-bit values in a field of its first preset headers."""
    changed = bytearray(font)
    start = font.index(b"phdr", font.index(b"pdta")) + 8
    for i, value in enumerate(values):
        place = start + i * 38 + field
        changed[place : place + 2] = value.to_bytes(2, "little")
    return bytes(changed)


def _without_drums(font: bytes) -> bytes:
    start = font.index(b"phdr", font.index(b"pdta")) + 4
    count = int.from_bytes(font[start : start + 4], "little") // 38
    return _headers(font, 22, [5] * count)


BROKEN: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "empty": ("not a SoundFont", lambda font: b""),
    "text": ("not a SoundFont", lambda font: b"drums\n" * 1000),
    "a wav file": ("not a SoundFont", lambda font: font[:8] + b"WAVE" + font[12:]),
    "half": ("truncated", lambda font: font[: len(font) // 2]),
    "without its last byte": ("truncated", lambda font: font[:-1]),
    "its header alone": ("truncated", lambda font: font[:12]),
    "zeros inside": ("Could not load", lambda font: font[:12] + bytes(len(font) - 12)),
    "no drum kit": ("no drum kit", _without_drums),
    # The bags of the first preset end before they begin, which crashes the synthesizer.
    "crashing": ("damaged", lambda font: _headers(font, 24, [5, 0])),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_soundfont_is_an_error_and_keeps_the_old_file(
    kind: str, default_font: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    message, break_font = BROKEN[kind]
    font, wav = tmp_path / "font.sf2", tmp_path / "groove.wav"
    font.write_bytes(break_font(default_font))
    wav.write_text("the old one")
    with pytest.raises(GroovaeError, match=rf"font\.sf2: .*{message}") as error:
        write_wav(wav, Groove([hit(0)]), soundfont=font)
    assert "\n" not in str(error.value)
    assert wav.read_text() == "the old one"
    assert sorted(os.listdir(tmp_path)) == ["font.sf2", "groove.wav"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["missing.sf2", "."])
def test_unreadable_soundfont_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=r"^cannot read the soundfont .*: \w+"):
        sound(hit(0), soundfont=tmp_path / name)


def test_missing_synthesizer_is_an_error_with_the_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)  # as if not installed
    with pytest.raises(GroovaeError, match=rf"run `{INSTALL}`"):
        write_wav(tmp_path / "groove.wav", Groove([hit(0)]))


# Playing


@pytest.fixture
def player(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that installs a shell script as a player; others are hidden."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def make(name: str, script: str) -> None:
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)

    return make


def test_player_gets_the_whole_wav_file(player: Callable[[str, str], None], tmp_path: Path) -> None:
    groove = Groove([hit(0), hit(0.5, SNARE)], 1.0)
    pytest.importorskip("tinysoundfont")
    player("ffplay", f'echo "$@" > {tmp_path}/said; /bin/cp "$5" {tmp_path}/played.wav')
    play(groove)
    write_wav(tmp_path / "written.wav", groove)
    assert (tmp_path / "played.wav").read_bytes() == (tmp_path / "written.wav").read_bytes()
    *options, path = (tmp_path / "said").read_text().split()
    assert options == ["-nodisp", "-autoexit", "-loglevel", "quiet"]
    assert not os.path.exists(path)


def test_winsound_plays_on_windows(
    player: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tinysoundfont")
    player("aplay", "exit 1")
    winsound = "import shutil\nSND_FILENAME = 0x20000\n"
    winsound += f"def PlaySound(path, flags): shutil.copy(path, {str(tmp_path / 'played.wav')!r})"
    (tmp_path / "winsound.py").write_text(winsound)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    play(Groove([hit(0)]))
    write_wav(tmp_path / "written.wav", Groove([hit(0)]))
    assert (tmp_path / "played.wav").read_bytes() == (tmp_path / "written.wav").read_bytes()


def test_next_player_is_tried_after_a_failure(
    player: Callable[[str, str], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tinysoundfont")
    player("paplay", "echo no server >&2; exit 1")
    player("aplay", f'echo "$@" > {tmp_path}/said')
    play(Groove([hit(0)]))
    assert (tmp_path / "said").read_text().endswith("groove.wav\n")
    assert capfd.readouterr() == ("", "")


def test_no_working_player_suggests_to_write_a_file(
    player: Callable[[str, str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tinysoundfont")
    with pytest.raises(GroovaeError, match=r"no player found \(afplay, .*\); .* --wav$"):
        play(Groove([hit(0)]))
    player("aplay", "echo ALSA lib; echo cannot find card 0 >&2; exit 1")
    with pytest.raises(GroovaeError, match=r"\(aplay: cannot find card 0\); .* --wav$"):
        play(Groove([hit(0)]))
    player("afplay", "exit 3")
    with pytest.raises(GroovaeError, match=r"\(afplay: it failed\); .* --wav$"):
        play(Groove([hit(0)]))
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_stops_the_player(player: Callable[[str, str], None], tmp_path: Path) -> None:
    pytest.importorskip("tinysoundfont")
    started = tmp_path / "pid"
    player("aplay", f"echo $$ > {started}.new; /bin/mv {started}.new {started}; exec /bin/sleep 60")
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import types; from groovae.music.sound import play\n"
        "try: play(types.SimpleNamespace(notes=[], total_time=0.0))\n"
        "except KeyboardInterrupt: print('stopped')"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"stopped\n", None)
    with pytest.raises(ProcessLookupError):
        os.kill(int(started.read_text()), 0)
