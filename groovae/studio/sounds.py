"""One-shots of the drums for the page: each drum at several velocities, as WAV files.

Their loudness relative to each other is that of the soundfont.
"""

import io
import itertools
import os
import threading
import wave
from typing import Any

import numpy as np

from groovae.music.drums import CLASS_NAMES, GM
from groovae.music.note_sequence import NoteSequence
from groovae.music.sound import check_ready, render
from groovae.music.synthesizer import SAMPLE_RATE

VELOCITIES = (32, 64, 96, 127)  # the highest of each layer, which it is rendered at
# From a hit to the next, by drum: cymbals ring out for longer than a kick.
SLOT_SECONDS = (1.5, 1.5, 1.0, 3.0, 2.5, 2.5, 2.5, 6.0, 6.0)
SILENCE = 3e-3  # of the peak: what is quieter at the end is cut off
FADE_SAMPLES = 8820


class Sounds:
    """The one-shots, rendered all at once when the first is needed."""

    def __init__(self, soundfont: str | os.PathLike[str] | None = None):
        self._soundfont, self._lock = soundfont, threading.Lock()
        self._files: list[bytes] = []

    def list(self) -> list[dict[str, Any]]:
        """Return the layers of each drum, with URLs relative to the page.

        Raises:
          GroovaeError: no sound can be rendered, see `sound.check_ready`.
        """
        check_ready(self._soundfont)
        return [
            {
                "drum": drum,
                "layers": [
                    {"max_velocity": velocity, "url": f"api/sounds/{drum}-{layer}.wav"}
                    for layer, velocity in enumerate(VELOCITIES)
                ],
            }
            for drum in range(len(CLASS_NAMES))
        ]

    def get(self, drum: int, layer: int) -> bytes:
        """Return a WAV file.

        Raises:
          GroovaeError: it cannot be rendered, see `sound.render`.
        """
        with self._lock:
            if not self._files:
                self._files = _render(self._soundfont)
        return self._files[drum * len(VELOCITIES) + layer]


def _render(soundfont: str | os.PathLike[str] | None) -> list[bytes]:
    """Return the WAV files of all layers of all drums."""
    hits = [(drum, velocity) for drum in range(len(GM)) for velocity in VELOCITIES]
    seconds = np.cumsum([0.0, *(SLOT_SECONDS[drum] for drum, _ in hits)])
    sequence = NoteSequence(total_time=seconds[-1])
    for (drum, velocity), start, end in zip(hits, seconds[:-1], seconds[1:], strict=True):
        sequence.notes.add(
            pitch=GM[drum][0],
            velocity=velocity,
            start_time=start,
            end_time=(start + end) / 2,
            is_drum=True,
        )
    samples = render(sequence, soundfont=soundfont)
    frames = np.rint(seconds * SAMPLE_RATE).astype(int)
    return [_wav(_trim(samples[start:end])) for start, end in itertools.pairwise(frames)]


def _trim(samples: np.ndarray) -> np.ndarray:
    """Cut off the silence at the end, with a short fade."""
    level = np.abs(samples.astype(np.int32)).max(axis=1)
    loud = np.flatnonzero(level > SILENCE * level.max())
    end = min(len(samples), (loud[-1] if len(loud) else 0) + FADE_SAMPLES)
    fade = np.clip((end - np.arange(end)) / FADE_SAMPLES, 0, 1)
    return np.rint(samples[:end] * fade[:, np.newaxis]).astype("<i2")


def _wav(samples: np.ndarray) -> bytes:
    """Return int16 [samples, 2] as a WAV file."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(samples.tobytes())
    return content.getvalue()
