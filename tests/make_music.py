"""Write music files for tests of `groovae preprocess`, and read its outputs."""

import json
import os
from pathlib import Path
from typing import Any

from groovae.data.groove_midi_dataset import INFO_COLUMNS
from groovae.music.midi_writer import Note, write_midi
from groovae.upstream import note_seq, tf

MIDI_HEADER = b"MThd\0\0\0\6\0\0\0\1\x01\xe0"


def write_groove(path: Path, hits: int = 8) -> None:
    """Write a MIDI file of four hits per second."""
    write_midi(path, [Note(i / 4, i / 4 + 0.1, 36 + i % 3, 60 + i % 50) for i in range(hits)])


def write_track(path: Path, events: bytes) -> None:
    """Write a MIDI file of one track with these events, at 480 ticks per quarter."""
    events += b"\0\xff\x2f\0"
    path.write_bytes(MIDI_HEADER + b"MTrk" + len(events).to_bytes(4, "big") + events)


def write_info(folder: Path, split_of: dict[str, str]) -> None:
    """Write an `info.csv` with the split of each file."""
    lines = [",".join(INFO_COLUMNS)]
    for name, split in split_of.items():
        row = dict.fromkeys(INFO_COLUMNS, "x") | {"bpm": "120", "duration": "1"}
        lines.append(",".join((row | {"midi_filename": name, "split": split}).values()))
    (folder / "info.csv").write_text("\n".join(lines) + "\n")


def read(path: Path) -> list[bytes]:
    return list(tf.python_io.tf_record_iterator(os.fsencode(path)))


def filenames(path: Path) -> list[str]:
    return [note_seq.NoteSequence.FromString(record).filename for record in read(path)]


def report_of(output: Path) -> dict[str, Any]:
    return json.loads(Path(f"{output}.report.json").read_text("utf-8"))
