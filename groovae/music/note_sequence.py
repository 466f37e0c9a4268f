"""Import NoteSequence without the rest of note_seq, and add many notes to one at once.

    from groovae.music.note_sequence import NoteSequence

`import note_seq` takes 2.7 s, for bokeh, IPython and librosa. NoteSequence is one generated file
without these imports. It is loaded here under its own module name, so that a process has only one
NoteSequence, whichever import comes first.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np

from groovae.errors import GroovaeError

NOTE_SEQ_INSTALL = "pip install --no-deps note-seq==0.0.5"
MUSIC_PB2 = "note_seq.protobuf.music_pb2"
VARINT_SHIFTS = np.array([0, 7, 14, 21])


def _music_pb2() -> Any:
    """Return the module of NoteSequence, loaded without its parent packages.

    A later `import note_seq` finds it in `sys.modules`. A second one would fail: protobuf registers
    each message once.
    """
    if MUSIC_PB2 in sys.modules:
        return sys.modules[MUSIC_PB2]
    spec = importlib.util.spec_from_file_location(MUSIC_PB2, _file_in("note_seq"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[MUSIC_PB2] = module
    return module


def _file_in(package: str) -> Path:
    spec = importlib.util.find_spec(package)  # without importing it
    if spec is None or spec.origin is None:
        raise GroovaeError(f"the package {package} is not installed: run `{NOTE_SEQ_INSTALL}`")
    return Path(spec.origin).parent / "protobuf" / "music_pb2.py"


NoteSequence: Any = _music_pb2().NoteSequence


def add_messages(
    sequence: Any, name: str, times: dict[str, np.ndarray], integers: dict[str, Any]
) -> None:
    """Add n messages to a repeated field of a NoteSequence, such as its notes.

    Adding them one by one takes longer than reading their file. They are encoded as arrays instead,
    by https://protobuf.dev/programming-guides/encoding.

    Args:
      sequence: Is changed in place.
      name: The field.
      times: float64 [n] by field of type double.
      integers: int [n], or one number for all messages, by field of type int32 or bool; 0 or more.
    """
    field = sequence.DESCRIPTOR.fields_by_name[name]
    numbers = {one.name: one.number for one in field.message_type.fields}
    columns: list[np.ndarray] = []  # uint8 [n, bytes]
    present: list[np.ndarray] = []  # which of these bytes are written: protobuf leaves out zeros
    for key, values in times.items():
        data = values.astype("<f8")[:, np.newaxis].view(np.uint8)
        columns += [np.full((len(values), 1), numbers[key] << 3 | 1, np.uint8), data]
        present.append(np.repeat(values[:, np.newaxis] != 0, 9, axis=1))
    num = len(columns[0])
    for key, value in integers.items():
        if not np.any(value):
            continue
        number = np.broadcast_to(np.asarray(value, np.int64), num)[:, np.newaxis]
        parts = number >> VARINT_SHIFTS[: 1 if number.max(initial=0) < 128 else 4]
        columns += [np.full((num, 1), numbers[key] << 3, np.uint8), _varint_bytes(parts)]
        present += [number != 0, parts != 0]
    mask = np.concatenate(present, axis=1)
    head = np.stack([np.full(num, field.number << 3 | 2), mask.sum(axis=1)], axis=1)
    table = np.concatenate([head.astype(np.uint8), *columns], axis=1)
    mask = np.concatenate([np.ones((num, 2), bool), mask], axis=1)
    sequence.MergeFromString(table[mask].tobytes())


def _varint_bytes(parts: np.ndarray) -> np.ndarray:
    """Return the bytes of varints: 7 bits each, with a high bit if others follow."""
    has_more = parts >> 7 != 0
    return (parts & 0x7F | has_more << 7).astype(np.uint8)
