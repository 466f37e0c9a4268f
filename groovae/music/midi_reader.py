"""Read a MIDI file as a NoteSequence, as note_seq does, with mido and pretty_midi alone.

    from groovae.music.midi_reader import read_midi
    sequence = read_midi(Path("take.mid").read_bytes())

The result equals that of note_seq's `midi_to_note_sequence` field by field, which
`tests/music/test_midi_reader.py` checks on the Groove MIDI Dataset and on damaged files. Unlike
note_seq, it refuses files that would take gigabytes or minutes to parse, and does not report Ctrl-C
as an error in the file. Both that limit and a speed-up patch mido; tests fail when a newer mido no
longer needs the patches.
"""

import io
from typing import Any

import mido
import pretty_midi
from mido.messages import checks
from mido.midifiles import midifiles

from groovae.music.note_sequence import NoteSequence

MAX_TICKS = 50_000_000  # pretty_midi allocates an array of all ticks: 0.4 GB, briefly twice that
MAX_DELTA = 1 << 40


class BrokenMidi(Exception):
    """The file is not valid MIDI; the message is note_seq's."""


class TooMuch(Exception):
    """The file is refused because it would take too much time or memory to convert."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_midi(midi: bytes) -> Any:
    """Return the NoteSequence of the bytes of a MIDI file.

    Raises:
      BrokenMidi: the bytes are damaged, or not MIDI.
      TooMuch: the file has over MAX_TICKS ticks, for which one forged delta time is enough.
    """
    try:
        parsed = mido.MidiFile(file=io.BytesIO(midi))
        ticks = max((sum(event.time for event in track) for track in parsed.tracks), default=0)
        if ticks > MAX_TICKS:
            raise TooMuch("too long", f"{ticks:,} ticks, over {MAX_TICKS:,} ticks")
        read = pretty_midi.PrettyMIDI(mido_object=parsed)
    except (TooMuch, MemoryError):
        raise
    except Exception as error:
        raise BrokenMidi(f"Midi decoding error {type(error)}: {error}") from error
    return _to_sequence(read)


def _to_sequence(midi: Any) -> Any:
    """Convert a `PrettyMIDI`."""
    sequence = NoteSequence(ticks_per_quarter=midi.resolution)
    sequence.source_info.parser = NoteSequence.SourceInfo.PRETTY_MIDI
    sequence.source_info.encoding_type = NoteSequence.SourceInfo.MIDI
    _add_meters_and_keys(sequence, midi)
    for time, qpm in zip(*midi.get_tempo_changes(), strict=True):
        sequence.tempos.add(time=time, qpm=qpm)
    for number, instrument in enumerate(midi.instruments):
        if instrument.name:
            sequence.instrument_infos.add(name=instrument.name, instrument=number)
        _add_events(sequence, number, instrument)
    ends = (note.end for instrument in midi.instruments for note in instrument.notes)
    sequence.total_time = max(ends, default=0)
    return sequence


def _add_meters_and_keys(sequence: Any, midi: Any) -> None:
    for meter in midi.time_signature_changes:
        added = sequence.time_signatures.add(time=meter.time, numerator=meter.numerator)
        try:
            added.denominator = meter.denominator
        except ValueError as error:  # MIDI allows up to 2^255
            what = f"Invalid time signature denominator {meter.denominator}"
            raise BrokenMidi(what) from error
    for key in midi.key_signature_changes:
        mode, tonic = divmod(key.key_number, 12)  # 0 is major and 1 minor in both formats
        sequence.key_signatures.add(time=key.time, key=tonic, mode=mode)


def _add_events(sequence: Any, number: int, instrument: Any) -> None:
    """Add the notes, pitch bends and control changes of an instrument."""
    common = {
        "instrument": number,
        "program": instrument.program,
        "is_drum": instrument.is_drum,
    }
    for note in instrument.notes:
        sequence.notes.add(
            start_time=note.start,
            end_time=note.end,
            pitch=note.pitch,
            velocity=note.velocity,
            **common,
        )
    for bend in instrument.pitch_bends:
        sequence.pitch_bends.add(time=bend.time, bend=bend.pitch, **common)
    for change in instrument.control_changes:
        sequence.control_changes.add(
            time=change.time, control_number=change.number, control_value=change.value, **common
        )


def _read_variable_int(file: Any) -> int:
    """Replace mido's function, which has no limit on the length of a number.

    For a megabyte of 0xff, as in damaged files, that takes minutes. Numbers over MAX_DELTA are
    refused either way: as a time they exceed MAX_TICKS, as a length mido's own limit.
    """
    delta = 0
    while delta < MAX_DELTA:
        byte = midifiles.read_byte(file)
        delta = (delta << 7) | (byte & 0x7F)
        if byte < 0x80:
            return delta
    raise OSError("a variable-length number is too long")


# mido checks each byte with isinstance against an abstract class, which is slow. Checking a plain
# type first gives the same result, and converting takes a tenth less.
checks.Integral = (int, checks.Integral)
checks.Real = (int, checks.Real)
mido_read_variable_int = midifiles.read_variable_int
midifiles.read_variable_int = _read_variable_int
# As in note_seq; pretty_midi's own limit is ten million ticks.
pretty_midi.pretty_midi.MAX_TICK = 1e10
