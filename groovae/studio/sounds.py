"""One-shots of the drums for the page: each drum at several velocities, as WAV files.

Their loudness relative to each other is that of the soundfont.
"""

import io
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
SLOT_SECONDS = 4.0  # from one hit to the next, after which a cymbal has rung out
SILENCE = 3e-3  # of the peak: what is quieter at the end is cut off
FADE_SAMPLES = 2205


class Sounds:
    """The one-shots; those of a drum are rendered when the first of them is asked for."""

    def __init__(self, soundfont: str | os.PathLike[str] | None = None):
        self._soundfont = soundfont
        self._locks = [threading.Lock() for _ in CLASS_NAMES]
        self._files: dict[int, list[bytes]] = {}

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
        with self._locks[drum]:
            if drum not in self._files:
                self._files[drum] = _render(drum, self._soundfont)
            return self._files[drum][layer]


def _render(drum: int, soundfont: str | os.PathLike[str] | None) -> list[bytes]:
    """Return the WAV file of each layer of a drum."""
    sequence = NoteSequence(total_time=len(VELOCITIES) * SLOT_SECONDS)
    for i, velocity in enumerate(VELOCITIES):
        start = i * SLOT_SECONDS
        sequence.notes.add(
            pitch=GM[drum][0],
            velocity=velocity,
            start_time=start,
            end_time=start + SLOT_SECONDS / 2,
            is_drum=True,
        )
    samples = render(sequence, soundfont=soundfont)
    slot = round(SLOT_SECONDS * SAMPLE_RATE)
    return [_wav(_trim(samples[i * slot : (i + 1) * slot])) for i in range(len(VELOCITIES))]


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
