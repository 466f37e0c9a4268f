"""NoteSequence, without the rest of note_seq.

    from groovae.music.note_sequence import NoteSequence

`import note_seq` takes 2.7 s, for bokeh, IPython and librosa. Its NoteSequence needs none of them:
it is one generated file, which is loaded alone here, under its own name, so that there is only one
NoteSequence in a process, whoever asks for it first.
"""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

NOTE_SEQ_INSTALL = "pip install --no-deps note-seq==0.0.5"
MUSIC_PB2 = "note_seq.protobuf.music_pb2"


def _music_pb2() -> Any:
    """The module of NoteSequence, without the packages that it lies in.

    A later `import note_seq` finds it in `sys.modules`. There must be no second one: protobuf
    takes each message once.
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
    spec = importlib.util.find_spec(package)  # which imports nothing
    if spec is None or spec.origin is None:
        raise GroovaeError(f"the package {package} is not installed: run `{NOTE_SEQ_INSTALL}`")
    return Path(spec.origin).parent / "protobuf" / "music_pb2.py"


NoteSequence: Any = _music_pb2().NoteSequence
