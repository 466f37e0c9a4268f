"""The process of the synthesizer, one for each groove; see sound.py.

It runs as a script, without the rest of groovae and without NumPy: it starts for each sound of a
page, and loading them would take longer than to synthesize a groove.
"""

import importlib
import struct
import sys

SAMPLE_RATE = 44100
GAIN_DB = -3.0
DRUM_CHANNEL, DRUM_BANK = 9, 128
BLOCK_FRAMES = 1 << 16


def synthesize(soundfont: str) -> None:
    """Read a score from stdin and write its sound to stdout.

    The score is int64 [events, 3]: frame, pitch and velocity, where velocity 0 is a note off. The
    last event only marks the end. The sound is float32 [frames, 2].
    """
    tinysoundfont = importlib.import_module("tinysoundfont")
    score = struct.iter_unpack("=qqq", sys.stdin.buffer.read())
    synth = tinysoundfont.Synth(gain=GAIN_DB, samplerate=SAMPLE_RATE)
    with open(soundfont, "rb") as file:
        content = file.read()
    try:
        font = synth.sfload(content, max_voices=1024)
    except RuntimeError as error:
        sys.exit(str(error))
    programs = [i for i in range(128) if synth.sfpreset_name(font, DRUM_BANK, i) is not None]
    if not programs:
        sys.exit("it has no drum kit")
    synth.program_select(DRUM_CHANNEL, font, DRUM_BANK, programs[0], True)
    now = 0
    for frame, pitch, velocity in score:
        while now < frame:
            frames = min(frame - now, BLOCK_FRAMES)
            sys.stdout.buffer.write(synth.generate_simple(frames))
            now += frames
        if velocity:
            synth.noteon(DRUM_CHANNEL, pitch, velocity)
        else:
            synth.noteoff(DRUM_CHANNEL, pitch)


if __name__ == "__main__":
    path, *sys.path = sys.argv[1:]
    synthesize(path)
