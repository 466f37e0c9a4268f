"""Grooves as MP3 in data URIs.

The files are mono, 44.1 kHz, with a variable bit rate of about 50 kbit/s, and have the encoder's
padding in their header, so that players play exactly the length of the groove. `music.sound` runs a
synthesizer process for each groove; as many run in parallel as there are cores.
"""

import base64
import functools
import importlib.util
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from groovae.errors import GroovaeError, first_line
from groovae.music.drums import CLASS_NAMES, CRASH, GM, OPEN_HIHAT, RIDE
from groovae.music.midi_writer import Note
from groovae.music.sound import SAMPLE_RATE, FilePath, check_ready, render
from groovae.report.rolls import Groove

INSTALL = "pip install soundfile"
MP3_QUALITY = 0.7  # of libsndfile, from 0 for the best to 1 for the smallest

# Velocities of the one-shots; a player scales the nearest one. Cymbals ring longer.
VELOCITIES = (40, 80, 120)
RINGING = (OPEN_HIHAT, CRASH, RIDE)
RING_SECONDS = 0.8


class Sound(NamedTuple):
    """An encoded groove.

    Attributes:
      uri: `data:audio/mpeg;base64,...`.
      seconds: Duration.
      lead_seconds: Start of the first bar in it, above 0 if a hit precedes the bar.
    """

    uri: str
    seconds: float
    lead_seconds: float


def check_sound(soundfont: FilePath | None = None) -> None:
    """Raise a GroovaeError that names the missing package or file if sound is unavailable."""
    check_ready(soundfont)
    if importlib.util.find_spec("soundfile") is None:
        raise GroovaeError(f"sound in a page requires the package soundfile: run `{INSTALL}`")


def sounds(grooves: Sequence[Groove], soundfont: FilePath | None = None) -> list[Sound]:
    """Render and encode grooves.

    Args:
      grooves: With General MIDI pitches.
      soundfont: An .sf2 file, by default the bundled one.

    Raises:
      GroovaeError: as `sound.render`, or there is no MP3 encoder.
    """

    def sound(groove: Groove) -> Sound:
        samples = render(groove, soundfont=soundfont)
        lead = max([0.0, *(-note.start_time for note in groove.notes)])
        uri = f"data:audio/mpeg;base64,{base64.b64encode(mp3(samples)).decode()}"
        return Sound(uri, len(samples) / SAMPLE_RATE, lead)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            return list(pool.map(sound, grooves))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


@functools.cache
def one_shots(soundfont: str | None = None) -> list[list[str]]:
    """Return a hit of each drum class at each of VELOCITIES, as data URIs [drums][velocities]."""
    grooves = [
        Groove(
            [Note(0.0, 0.1, GM[drum][0], velocity)], RING_SECONDS if drum in RINGING else 0.0, ()
        )
        for drum in range(len(CLASS_NAMES))
        for velocity in VELOCITIES
    ]
    uris = [sound.uri for sound in sounds(grooves, soundfont)]
    return [uris[i : i + len(VELOCITIES)] for i in range(0, len(uris), len(VELOCITIES))]


def mp3(samples: np.ndarray) -> bytes:
    """Encode int16 [n, channels] at SAMPLE_RATE as mono MP3.

    Raises:
      GroovaeError: soundfile's libsndfile cannot encode MP3.
    """
    soundfile: Any = importlib.import_module("soundfile")
    file = io.BytesIO()
    try:
        soundfile.write(
            file,
            samples.mean(axis=1).astype(np.float32) / 2**15,
            SAMPLE_RATE,
            format="MP3",
            subtype="MPEG_LAYER_III",
            compression_level=MP3_QUALITY,
            bitrate_mode="VARIABLE",
        )
    except (ValueError, TypeError, soundfile.LibsndfileError) as error:
        raise GroovaeError(
            f"cannot encode MP3 ({first_line(error)}); soundfile requires libsndfile 1.1 or newer"
        ) from error
    return file.getvalue()
