"""Import NoteSequence without the rest of note_seq.

    from groovae.music.note_sequence import NoteSequence

`import note_seq` takes 2.7 s, for bokeh, IPython and librosa. NoteSequence is one generated file
without these imports. It is loaded here under its own module name, so that a process has only one
NoteSequence, whichever import comes first.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

NOTE_SEQ_INSTALL = "pip install --no-deps note-seq==0.0.5"
MUSIC_PB2 = "note_seq.protobuf.music_pb2"


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
