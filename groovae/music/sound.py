"""Render drum grooves to audio with a soundfont, and play them.

    from groovae.music.sound import render, write_wav
    write_wav("groove.wav", groove)

The synthesizer is TinySoundFont (package tinysoundfont); the default soundfont is the General MIDI
one of pretty_midi.

- Hits are placed to the sample (1/44,100 s) and ring out, however short the note is. If the first
  hit is before time 0, the whole groove is moved later by that much.
- The sound ends one second after the groove, or after its last hit if that is later.
- All grooves have the same gain, with headroom for a full kit. A groove that would still clip is
  scaled down as a whole.
- Soundfonts follow General MIDI. With another drum map, each class is played with its first General
  MIDI pitch, as are Roland's hi-hats (22 and 26) with any map. Other pitches are not changed.

The synthesizer runs in a separate process, because some damaged soundfonts crash it. Its output is
written block by block, so memory does not grow with the length of the groove.
"""

import contextlib
import importlib
import importlib.util
import io
import math
import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Generator
from typing import Any, BinaryIO

import numpy as np

from groovae.errors import GroovaeError
from groovae.music import synthesizer
from groovae.music.drums import GM, DrumMap, classes, in_nine_classes
from groovae.music.synthesizer import BLOCK_FRAMES, FRAME_BYTES, SAMPLE_RATE
from groovae.music.tempo import check_sequence
from groovae.system.atomic_files import atomic_write
from groovae.system.regular_files import open_regular
from groovae.system.temporary import temporary_file, temporary_folder

RING_SECONDS = 1.0  # after the end of the groove
FADE_SECONDS = 0.2  # at the end, so that a cymbal does not end in a click
HOLD_SECONDS = 4.0  # to the note off, without which soundfonts that loop a cymbal never end
MAX_SECONDS = 6 * 3600  # a WAV file holds 4 GB, 6.7 hours

DEFAULT_SOUNDFONT = "TimGM6mb.sf2"
GM_PERCUSSION = range(27, 88)  # General MIDI Level 2
INSTALL = "pip install --no-deps tinysoundfont"
PLAYERS = (
    ("afplay",),
    ("pw-play",),
    ("paplay",),
    ("aplay",),
    ("ffplay", "-nodisp", "-autoexit", "-loglevel", "quiet"),
)

# On Windows. A process of its own can be stopped by Ctrl-C, which waits for winsound otherwise.
_WINSOUND = "import sys, winsound; winsound.PlaySound(sys.argv[1], winsound.SND_FILENAME)"

FilePath = str | os.PathLike[str]


def render(groove: Any, drum_map: DrumMap = GM, soundfont: FilePath | None = None) -> np.ndarray:
    """Render a groove to the samples that `write_wav` writes.

    Args:
      groove: A NoteSequence of drums, its times in seconds.
      drum_map: The drum map of its pitches.
      soundfont: A .sf2 or .sf3 file; pretty_midi's by default.

    Returns:
      int16 [samples, 2] at SAMPLE_RATE: left and right.

    Raises:
      GroovaeError: tinysoundfont is not installed, the soundfont cannot be read, is damaged or has
        no drums, or the groove is longer than MAX_SECONDS or has a non-finite time.
    """
    content = to_wav(groove, drum_map, soundfont)
    with wave.open(io.BytesIO(content), "rb") as file:
        samples = file.readframes(file.getnframes())
    return np.frombuffer(samples, "<i2").astype(np.int16).reshape(-1, 2)


def to_wav(groove: Any, drum_map: DrumMap = GM, soundfont: FilePath | None = None) -> bytes:
    """Return a groove as the content of a WAV file, see `write_wav`.

    Raises:
      GroovaeError: as `render`.
    """
    content = io.BytesIO()
    _write(content, check_ready(soundfont), _score(groove, drum_map))
    return content.getvalue()


def write_wav(
    path: FilePath, groove: Any, drum_map: DrumMap = GM, soundfont: FilePath | None = None
) -> None:
    """Write a groove as a WAV file (16 bits, stereo, 44.1 kHz), atomically.

    Raises:
      GroovaeError: as `render`, or the file cannot be written.
    """
    font, score = check_ready(soundfont), _score(groove, drum_map)
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        _write(file, font, score)


def check_ready(soundfont: FilePath | None = None) -> str:
    """Check that the synthesizer is installed and the soundfont valid; return its path.

    Raises:
      GroovaeError: tinysoundfont is not installed, or the file is not a soundfont.
    """
    if not _synthesizer_folder():
        raise GroovaeError(
            f"sound needs the package tinysoundfont: run `{INSTALL}` "
            "(on Python 3.13 this takes a C++ compiler)"
        )
    return _find_soundfont(soundfont)


def _synthesizer_folder() -> str:
    """Return the folder of the package tinysoundfont, "" if it is not installed."""
    package = importlib.util.find_spec("tinysoundfont")
    folders = package.submodule_search_locations if package else None
    return folders[0] if folders else ""


def play(groove: Any, drum_map: DrumMap = GM, soundfont: FilePath | None = None) -> None:
    """Play a groove with winsound or the first of PLAYERS that works, until it ends or Ctrl-C.

    Raises:
      GroovaeError: as `render`, or no player is installed, or all of them fail.
    """
    check_sequence(groove)
    players = _find_players()
    with temporary_folder() as folder:
        path = os.path.join(folder, "groove.wav")
        write_wav(path, groove, drum_map, soundfont)
        failures = []
        for player in players:
            failure = _run_player([*player, path])
            if failure is None:
                return
            failures.append(f"{os.path.basename(player[0])}: {failure}")
    raise GroovaeError(f"cannot play sound here ({failures[0]}); write a file instead, with --wav")


def _find_players() -> list[list[str]]:
    """Return the commands of this machine's players, without the file to play."""
    players = [[path, *options] for name, *options in PLAYERS if (path := shutil.which(name))]
    if importlib.util.find_spec("winsound"):
        players.insert(0, [sys.executable, "-c", _WINSOUND])
    if not players:
        names = ", ".join(name for name, *_ in PLAYERS)
        raise GroovaeError(f"no player found ({names}); write a file instead, with --wav")
    return players


def _find_soundfont(soundfont: FilePath | None) -> str:
    """Return the path of a soundfont, after checking its header and length."""
    if soundfont is None:
        # Importing pretty_midi is slow.
        package = importlib.util.find_spec("pretty_midi")
        folders = package.submodule_search_locations if package else None
        soundfont = os.path.join(folders[0] if folders else "", DEFAULT_SOUNDFONT)
    path = os.path.expanduser(os.fspath(soundfont))
    try:
        with open_regular(path) as file:
            header = file.read(12)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise GroovaeError(f"cannot read the soundfont {path}: {error.strerror}") from error
    if header[:4] != b"RIFF" or header[8:] != b"sfbk":
        raise _unusable(path, "not a SoundFont 2 file")
    if size < 8 + int.from_bytes(header[4:8], "little"):
        raise _unusable(path, "truncated")
    return path


def _unusable(soundfont: str, why: str) -> GroovaeError:
    return GroovaeError(f"{soundfont}: cannot use this soundfont: {why}; try another .sf2 file")


def _score(groove: Any, drum_map: DrumMap) -> np.ndarray:
    """Return the events for the synthesizer in order; see synthesizer.py."""
    check_sequence(groove)
    times = np.array([note.start_time for note in groove.notes], np.float64)
    start = min(0.0, times.min(initial=0.0))
    seconds = max(groove.total_time, times.max(initial=0.0)) - start + RING_SECONDS
    if not (np.isfinite(times).all() and seconds <= MAX_SECONDS):
        raise GroovaeError(
            f"cannot render {seconds:,.0f} seconds of sound; the maximum is {MAX_SECONDS:,}"
        )
    translated = _to_gm(drum_map)
    pitches = [translated.get(note.pitch, note.pitch) for note in groove.notes]
    velocities = np.clip([int(note.velocity) for note in groove.notes], 1, 127)
    frames = np.rint((times - start) * SAMPLE_RATE)
    hits = np.column_stack([frames, pitches, velocities]).astype(np.int64)
    releases = hits * [1, 1, 0] + [round(HOLD_SECONDS * SAMPLE_RATE), 0, 0]
    end = round(seconds * SAMPLE_RATE)
    events = np.concatenate([hits, releases])
    events = events[np.lexsort(events.T[[1, 2, 0]])]
    return np.concatenate([events[events[:, 0] < end], [[end, 0, 0]]])


def _to_gm(drum_map: DrumMap) -> dict[int, int]:
    """Return the General MIDI pitch of the same drum, for each pitch that differs."""
    drum_map = in_nine_classes(drum_map)
    first = {pitch: GM[drum][0] for pitch, drum in classes(drum_map).items()}
    if drum_map == GM:
        return {pitch: to for pitch, to in first.items() if pitch not in GM_PERCUSSION}
    return first


def _write(file: BinaryIO, soundfont: str, score: np.ndarray) -> None:
    """Write a WAV file, scaled down where it would clip."""
    peak = _write_scaled(file, soundfont, score, 1.0)
    if peak > 1:
        file.seek(0)
        _write_scaled(file, soundfont, score, 1 / peak)


def _write_scaled(file: BinaryIO, soundfont: str, score: np.ndarray, gain: float) -> float:
    """Write a WAV file; return its peak, where values over 1 clip."""
    peak, rest = 0.0, int(score[-1, 0])
    with contextlib.closing(_blocks(soundfont, score)) as blocks, wave.open(file, "wb") as wav:
        wav.setparams((2, 2, SAMPLE_RATE, rest, "NONE", ""))
        for block in blocks:
            samples = np.multiply(block, 32767 * gain, dtype=np.float64)
            _fade_out(samples, rest)
            peak = max(peak, samples.max(initial=0) / 32767, -samples.min(initial=0) / 32767)
            np.clip(np.rint(samples, out=samples), -32767, 32767, out=samples)
            wav.writeframesraw(samples.astype("<i2").tobytes())
            rest -= len(block)
    return peak


def _fade_out(samples: np.ndarray, rest: int) -> None:
    """Fade out, in place, what is near the end, `rest` frames after the first sample."""
    fade_frames = FADE_SECONDS * SAMPLE_RATE
    first = max(0, rest - math.ceil(fade_frames))
    if first < len(samples):
        until_end = rest - np.arange(first, len(samples))
        samples[first:] *= np.clip(until_end / fade_frames, 0, 1)[:, np.newaxis]


def _blocks(soundfont: str, score: np.ndarray) -> Generator[np.ndarray, None, None]:
    """Yield the sound of a score in blocks, float32 [up to BLOCK_FRAMES, 2]."""
    command = [sys.executable, "-IS", synthesizer.__file__, soundfont, _synthesizer_folder()]
    with (
        temporary_file() as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
        ) as process,
    ):
        try:
            assert process.stdin
            assert process.stdout
            with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
                stdin.write(score.tobytes())
            while block := process.stdout.read(BLOCK_FRAMES * FRAME_BYTES):
                frames = len(block) // FRAME_BYTES  # the last one may be incomplete after a crash
                sound = np.frombuffer(block, np.float32, 2 * frames).reshape(-1, 2)
                if not np.isfinite(sound).all():
                    raise _unusable(soundfont, "damaged")
                yield sound
            if process.wait() < 0:
                raise _unusable(soundfont, "damaged")
            if process.returncode:
                stderr.seek(0)
                raise _unusable(soundfont, _last_line(stderr.read()))
        finally:
            process.kill()


def _run_player(command: list[str]) -> str | None:
    """Run a player; return why it failed, or None."""
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    try:
        with subprocess.Popen(command, stdin=null, stdout=null, stderr=pipe) as player:
            try:
                _, stderr = player.communicate()
            except BaseException:
                player.kill()
                player.wait()  # Popen does not on Ctrl-C, and the player would outlive us.
                raise
    except OSError as error:
        return error.strerror or str(error)
    return _last_line(stderr) or "it failed" if player.returncode else None


def _last_line(output: bytes) -> str:
    """Return the last line that is not blank.

    >>> _last_line(b"warning\\n no such device \\n\\n")
    'no such device'
    """
    lines = output.decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
