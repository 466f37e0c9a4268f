"""Read thousands of damaged MIDI files, and compare with Magenta's reader.

    python scripts/fuzz_midi.py --files=30000 --compare=5000

Each file is read completely: only BrokenMidi may be raised, and the slowest file and the memory are
printed. The first `--compare` files are also read as Magenta does and by note_seq, which must give
the same bytes or refuse the same files. The files depend on their number only.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from groovae.music.midi_complete import read_complete
from groovae.music.midi_magenta import read_magenta
from groovae.music.midi_reader import BrokenMidi

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from damaged_midi import damaged

MAX_SECONDS = 20_000.0  # pretty_midi allocates an array of all ticks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=30_000)
    parser.add_argument("--compare", type=int, default=5_000)
    arguments = parser.parse_args()
    slowest, num_read = 0.0, 0
    for number in range(arguments.files):
        started = time.process_time()
        try:
            read_complete(damaged(number))
            num_read += 1
        except BrokenMidi:
            pass
        slowest = max(slowest, time.process_time() - started)
    print(f"read {num_read:,} of {arguments.files:,} files, the slowest in {slowest * 1000:.0f} ms")
    print(f"peak memory: {peak_mb():,.0f} MB")
    if arguments.compare:
        compare(arguments.compare)


def compare(num_files: int) -> None:
    """Compare with note_seq; exit with an error at the first difference."""
    from groovae.upstream import note_seq

    warnings.simplefilter("ignore")

    def outcome(read: Callable[[bytes], Any], data: bytes) -> bytes | None:
        try:
            return read(data).SerializeToString()
        except (BrokenMidi, note_seq.MIDIConversionError):
            return None

    num_read = num_compared = 0
    for number in range(num_files):
        data = damaged(number)
        try:
            if read_magenta(data).total_time > MAX_SECONDS:
                continue
        except BrokenMidi:
            pass
        theirs = outcome(note_seq.midi_to_note_sequence, data)
        if outcome(read_magenta, data) != theirs:
            sys.exit(f"file {number} is read differently")
        num_compared += 1
        num_read += theirs is not None
    print(f"the same as note_seq for {num_compared:,} files, of which it reads {num_read:,}")


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
