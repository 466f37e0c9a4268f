"""Random MIDI files for tests: valid, unusual, and damaged ones."""

import io
import random
from collections.abc import Callable

import mido

from groovae.music.midi_writer import Note, to_midi


def a_groove(seed: int) -> bytes:
    """Return a MIDI file of type 0, as in GMD."""
    rng = random.Random(seed)
    hits = [Note(i / 8, i / 8 + 0.1, rng.randint(35, 59), rng.randint(1, 127)) for i in range(60)]
    return saved(to_midi(hits, tempo_qpm=rng.randint(60, 180))[0])


def a_band(seed: int) -> bytes:
    """Return a MIDI file of type 1: a tempo track, and three tracks with many kinds of events."""
    rng = random.Random(seed)
    midi = mido.MidiFile(type=1, ticks_per_beat=rng.choice([96, 220, 480]))
    tempo = mido.MetaMessage(
        "set_tempo", tempo=rng.randint(300_000, 900_000), time=rng.randint(0, 99)
    )
    meter = mido.MetaMessage("time_signature", numerator=rng.randint(1, 12), denominator=8)
    key = mido.MetaMessage("key_signature", key="F#m")
    midi.tracks.append(mido.MidiTrack([tempo, meter, key, mido.MetaMessage("text", text="Größe")]))
    for channel in (0, 9, 15):
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=f"channel {channel}")])
        for _ in range(30):
            note, time = rng.randint(0, 127), rng.randint(0, 500)
            track += [
                mido.Message("note_on", channel=channel, note=note, velocity=90, time=time),
                mido.Message("control_change", channel=channel, control=4, value=note),
                mido.Message("pitchwheel", channel=channel, pitch=note, time=3),
                mido.Message("note_off", channel=channel, note=note, time=time),
            ]
        track += [mido.Message("sysex", data=[1, 2, 3]), mido.Message("program_change", program=5)]
        midi.tracks.append(track)
    return saved(midi)


def saved(midi: mido.MidiFile) -> bytes:
    file = io.BytesIO()
    midi.save(file=file)
    return file.getvalue()


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    value = rng.choice([0x00, 0x7F, 0x80, 0xF0, 0xF7, 0xFF, rng.randrange(256)])
    data[at : at + rng.randint(1, 40)] = bytes([value]) * rng.randint(1, 40)


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def leave_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.randint(1, 60)]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = data[at : at + rng.randint(1, 200)] * rng.choice([1, 2, 50])


def forge_header(data: bytearray, rng: random.Random) -> None:
    """Change the header's length, type, number of tracks, or division."""
    at, size = rng.choice([(4, 4), (8, 2), (10, 2), (12, 2), (12, 2), (12, 2)])
    value = rng.choice([0, 1, 0x7FFF, 0x8000, 0xE250, 0xFFFF, rng.randrange(1 << 16)])
    data[at : at + size] = value.to_bytes(size, "big")


def forge_length(data: bytearray, rng: random.Random) -> None:
    at = data.find(b"MTrk", rng.randrange(len(data)))
    value = rng.choice([0, 1, 0xFFFFFFFF, 0x7FFFFFFF, len(data), rng.randrange(1 << 32)])
    data[at + 4 : at + 8] = value.to_bytes(4, "big")


def forge_time(data: bytearray, rng: random.Random) -> None:
    """Write a variable-length number of up to 28 bits anywhere."""
    value = 1 << rng.randrange(28)
    at = rng.randrange(22, len(data))
    data[at : at + 1] = bytes([value >> 21 | 0x80, value >> 14 & 0x7F | 0x80, 0x80, 0])


def append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice([b"MTrk\0\0\0\0", b"\xff" * 3000, rng.randbytes(300)])


DAMAGE: list[Callable[[bytearray, random.Random], None]] = [
    *(flip_bits, overwrite, cut, leave_out, repeat),
    *(forge_header, forge_length, forge_time, append),
]


def damaged(seed: int) -> bytes:
    rng = random.Random(seed)
    data = bytearray(rng.choice([a_groove, a_band])(seed))
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        rng.choice(DAMAGE)(data, rng)
        if len(data) < 30:
            break
    return bytes(data)


def an_odd_beat(seed: int) -> bytes:
    """Return a valid MIDI file in 4/4 and one tempo, with unusual notes."""
    rng = random.Random(seed)
    midi = mido.MidiFile(type=rng.choice([0, 1]), ticks_per_beat=rng.choice([1, 24, 96, 480, 9600]))
    meter = rng.choice([(4, 4), (2, 2), (8, 8), (16, 16)])
    start = [
        mido.MetaMessage("set_tempo", tempo=rng.randint(60_000, 15_000_000)),
        mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]),
        mido.MetaMessage("text", text="odd", time=rng.choice([0, midi.ticks_per_beat * 40])),
    ]
    for _ in range(1 if midi.type == 0 else 2):
        track = mido.MidiTrack(start)
        channel = rng.choice([9] * 9 + [0])
        most = rng.choice([0, 1, midi.ticks_per_beat // 4, midi.ticks_per_beat * 9])
        for _ in range(rng.choice([1, 10, 300])):
            note = {"channel": channel, "note": rng.randint(0, 127)}
            loud, later = rng.choice([1, 64, 127]), rng.randint(0, most)
            track.append(mido.Message("note_on", velocity=loud, time=later, **note))
            if rng.random() < 0.9:  # else it has no end
                track.append(mido.Message("note_off", time=rng.choice([0, 0, 1, most]), **note))
        midi.tracks.append(track)
        start = []
    return saved(midi)


def damaged_performance(data: bytes, seed: int) -> bytes:
    rng = random.Random(seed)
    changed = bytearray(data)
    rng.choice(DAMAGE)(changed, rng)
    return bytes(changed)
