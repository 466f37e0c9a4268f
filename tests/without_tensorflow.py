"""Run Python where TensorFlow, Magenta and note_seq cannot be imported, or without a network."""

import subprocess
import sys

# Assert, after imports of NoteSequence and note_seq, that both are one; makes a `sequence`.
SAME_NOTE_SEQUENCE = """
import pickle
import note_seq.protobuf.music_pb2 as module
assert NoteSequence is note_seq.NoteSequence is module.NoteSequence
sequence = NoteSequence(total_time=2)
sequence.notes.add(pitch=36, velocity=90, end_time=1)
assert pickle.loads(pickle.dumps(sequence)) == sequence
assert note_seq.quantize_note_sequence(sequence, 4).notes[0].quantized_end_step == 8
"""

HEAVY = ("tensorflow", "tf_keras", "tf_slim", "magenta", "note_seq")


BLOCKED = f"""
import sys
HEAVY = {HEAVY}
def block(event, arguments):
    package = arguments[0].split(".")[0] if event == "import" else None
    if package in HEAVY:
        raise ModuleNotFoundError(f"No module named {{package!r}}", name=package)
sys.addaudithook(block)
"""


def run_blocked(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code where importing TensorFlow, Magenta or note_seq raises a ModuleNotFoundError."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


OFFLINE = """
import sys
def offline(event, arguments):
    if event.startswith("socket."):
        raise OSError("no network")
sys.addaudithook(offline)
from groovae.cli.main import main
sys.exit(main())
"""
