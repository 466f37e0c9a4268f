"""The process of the synthesizer, one for each groove; see sound.py.

It runs as a script and loads nothing but the compiled module of tinysoundfont, as it starts for
each sound of a page: NumPy, groovae and the Python modules of tinysoundfont would take longer to
load than a groove to synthesize.
"""

import sys

SAMPLE_RATE = 44100
GAIN_DB = -3.0
DRUM_CHANNEL, DRUM_BANK = 9, 128
BLOCK_FRAMES = 1 << 16
FRAME_BYTES = 8  # two float32
NO_PRESET = "<None>"  # the name of tinysoundfont


def synthesize(soundfont: str) -> None:
    """Read a score from stdin and write its sound to stdout.

    The score is int64 [events, 3]: frame, pitch and velocity, where velocity 0 is a note off. The
    last event only marks the end. The sound is float32 [frames, 2].
    """
    import _tinysoundfont

    with open(soundfont, "rb") as file:
        content = file.read()
    try:
        synth = _tinysoundfont.SoundFont(content)
    except RuntimeError as error:
        sys.exit(str(error))
    synth.set_output(_tinysoundfont.OutputMode.StereoInterleaved, SAMPLE_RATE, GAIN_DB)
    synth.set_max_voices(1024)
    programs = [i for i in range(128) if synth.get_preset_name(DRUM_BANK, i) != NO_PRESET]
    if not programs:
        sys.exit("it has no drum kit")
    synth.channel_set_bank(DRUM_CHANNEL, DRUM_BANK)
    synth.channel_set_preset_number(DRUM_CHANNEL, programs[0], True)
    score = memoryview(sys.stdin.buffer.read()).cast("q").tolist()
    now = 0
    for frame, pitch, velocity in zip(score[::3], score[1::3], score[2::3], strict=True):
        while now < frame:
            block = bytearray(min(frame - now, BLOCK_FRAMES) * FRAME_BYTES)
            synth.render(block, False)
            sys.stdout.buffer.write(block)
            now += len(block) // FRAME_BYTES
        if velocity:
            synth.channel_note_on(DRUM_CHANNEL, pitch, velocity / 127)
        else:
            synth.channel_note_off(DRUM_CHANNEL, pitch)


if __name__ == "__main__":
    path, *sys.path = sys.argv[1:]
    synthesize(path)
