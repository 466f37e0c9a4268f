"""A MIDI file as a NoteSequence: what note_seq makes of it, by mido and pretty_midi alone.

    from groovae.music.midi_reader import read_midi
    sequence = read_midi(Path("take.mid").read_bytes())

Field by field it is that of note_seq's `midi_to_note_sequence`, which
`tests/music/test_midi_reader.py` compares it with on the Groove MIDI Dataset and on damaged files.
What differs: Ctrl-C stops it, where note_seq takes it for an error in the file, and a file that
would take gigabytes or minutes is refused. mido is changed for the latter, and made faster; the
tests fail when it no longer needs that.
"""

import io
from typing import Any

import mido
import pretty_midi
from mido.messages import checks
from mido.midifiles import midifiles

from groovae.music.note_sequence import NoteSequence

MAX_TICKS = 50_000_000  # pretty_midi makes an array of all ticks: 0.4 GB, twice that for a moment
MAX_DELTA = 1 << 40


class BrokenMidi(Exception):
    """What cannot be read as MIDI; in note_seq's words."""


class TooMuch(Exception):
    """A file that is refused because of what it would take to convert it."""

    def __init__(self, reason: str, detail: str):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def read_midi(midi: bytes) -> Any:
    """The NoteSequence of the bytes of a MIDI file.

    Raises:
      BrokenMidi: they are damaged, or no MIDI.
      TooMuch: the file has over MAX_TICKS ticks, as one forged time is enough for.
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
    """The NoteSequence of a `PrettyMIDI`."""
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
        except ValueError as error:  # MIDI has room for 2^255
            what = f"Invalid time signature denominator {meter.denominator}"
            raise BrokenMidi(what) from error
    for key in midi.key_signature_changes:
        mode, tonic = divmod(key.key_number, 12)  # major is 0, minor 1, here and there
        sequence.key_signatures.add(time=key.time, key=tonic, mode=mode)


def _add_events(sequence: Any, number: int, instrument: Any) -> None:
    """Notes, pitch bends and control changes of an instrument."""
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
    """mido's own, which makes one number of whatever bytes over 127 follow each other.

    With a megabyte of 0xff, as damaged files have it, that takes minutes. Numbers over MAX_DELTA
    are refused either way: as a time they are over MAX_TICKS, as a length over mido's own limit.
    """
    delta = 0
    while delta < MAX_DELTA:
        byte = midifiles.read_byte(file)
        delta = (delta << 7) | (byte & 0x7F)
        if byte < 0x80:
            return delta
    raise OSError("a number goes on for too long")


# mido asks each byte whether it is a number, and an abstract class takes long to answer. A plain
# type, asked first, says the same, and converting takes a tenth less.
checks.Integral = (int, checks.Integral)
checks.Real = (int, checks.Real)
mido_read_variable_int = midifiles.read_variable_int
midifiles.read_variable_int = _read_variable_int
# As note_seq has it: pretty_midi's own limit is of ten million ticks.
pretty_midi.pretty_midi.MAX_TICK = 1e10
