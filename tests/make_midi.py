"""MIDI files made byte by byte, also such as no library would write."""

from collections.abc import Sequence

KICK, SNARE, HIHAT = 36, 38, 42
END = b"\0\xff\x2f\0"


def chunk(name: bytes, data: bytes) -> bytes:
    return name + len(data).to_bytes(4, "big") + data


def header(tracks: int, kind: int = 1, division: int = 480) -> bytes:
    fields = (kind, tracks, division)
    return chunk(b"MThd", b"".join(value.to_bytes(2, "big") for value in fields))


def midi(*tracks: bytes, kind: int = 1, count: int | None = None, division: int = 480) -> bytes:
    """Return a file of tracks; `count` is the number of tracks in the header."""
    chunks = (chunk(b"MTrk", track) for track in tracks)
    return header(len(tracks) if count is None else count, kind, division) + b"".join(chunks)


def variable(number: int) -> bytes:
    """Return a number of variable length."""
    data = [number & 0x7F]
    while number := number >> 7:
        data.append(number & 0x7F | 0x80)
    return bytes(reversed(data))


def meta(kind: int, data: bytes, delta: int = 0) -> bytes:
    return variable(delta) + bytes([0xFF, kind]) + variable(len(data)) + data


def tempo(qpm: float, delta: int = 0) -> bytes:
    return meta(0x51, round(6e7 / qpm).to_bytes(3, "big"), delta)


def meter(numerator: int, power: int, delta: int = 0) -> bytes:
    """Return a time signature whose denominator is 2^power."""
    return meta(0x58, bytes([numerator, power, 24, 8]), delta)


def name(text: str) -> bytes:
    return meta(0x03, text.encode())


def notes(
    hits: Sequence[tuple[int, int]], length: int = 60, channel: int = 9, velocity: int = 90
) -> bytes:
    """Return note-ons and note-offs of (tick, pitch)."""
    events = [(tick, 1, pitch) for tick, pitch in hits]
    events += [(tick + length, 0 if length else 2, pitch) for tick, pitch in hits]
    data, now = b"", 0
    for tick, kind, pitch in sorted(events):
        status = 0x90 if kind == 1 else 0x80
        data += variable(tick - now) + bytes([status | channel, pitch, velocity])
        now = tick
    return data


def beat(bars: int = 4, quarters: int = 4, start: int = 0) -> list[tuple[int, int]]:
    """Return (tick, pitch): hi-hats on eighths, a kick on each bar, snares on the other beats."""
    bar = 480 * quarters
    hits = [(at, HIHAT) for at in range(0, bars * bar, 240)]
    hits += [(at, KICK if at % bar == 0 else SNARE) for at in range(0, bars * bar, 480)]
    return sorted((start + at, pitch) for at, pitch in hits)
