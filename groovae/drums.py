"""The drum classes of GrooVAE, and where percussion without a class of its own would be played.

A GrooVAE window has nine lanes, in the order of Magenta's `ROLAND_DRUM_PITCH_CLASSES`. A MIDI pitch
that belongs to none of them (a clap, a cowbell) is left out by default; with the policy `nearest`
it goes to the lane that `PERCUSSION` names, what a drummer without that instrument would hit:
shakers and other timekeepers go to the hi-hat, bells to the ride's bell, wood and hand claps to the
snare drum and its rim, hand drums to the toms by their pitch. Only the whistles have no place.
"""

CLASS_NAMES = (
    *("kick", "snare", "closed hi-hat", "open hi-hat"),
    *("low tom", "mid tom", "high tom", "crash", "ride"),
)
KICK, SNARE, CLOSED_HIHAT, OPEN_HIHAT, LOW_TOM, MID_TOM, HIGH_TOM, CRASH, RIDE = range(9)

# General MIDI Level 2 percussion beyond the kit pieces that Roland's e-drums send: its name there,
# and the class that `nearest` takes.
PERCUSSION = {
    27: ("high Q", CLOSED_HIHAT),
    28: ("slap", SNARE),
    29: ("scratch push", CLOSED_HIHAT),
    30: ("scratch pull", OPEN_HIHAT),
    31: ("sticks", SNARE),
    32: ("square click", CLOSED_HIHAT),
    33: ("metronome click", CLOSED_HIHAT),
    34: ("metronome bell", RIDE),
    35: ("acoustic bass drum", KICK),
    39: ("hand clap", SNARE),
    41: ("low floor tom", LOW_TOM),
    54: ("tambourine", CLOSED_HIHAT),
    56: ("cowbell", RIDE),
    58: ("vibraslap", CRASH),
    60: ("high bongo", HIGH_TOM),
    61: ("low bongo", MID_TOM),
    62: ("mute high conga", HIGH_TOM),
    63: ("open high conga", MID_TOM),
    64: ("low conga", LOW_TOM),
    65: ("high timbale", HIGH_TOM),
    66: ("low timbale", MID_TOM),
    67: ("high agogo", RIDE),
    68: ("low agogo", RIDE),
    69: ("cabasa", CLOSED_HIHAT),
    70: ("maracas", CLOSED_HIHAT),
    71: ("short whistle", None),
    72: ("long whistle", None),
    73: ("short guiro", CLOSED_HIHAT),
    74: ("long guiro", OPEN_HIHAT),
    75: ("claves", SNARE),
    76: ("high wood block", SNARE),
    77: ("low wood block", SNARE),
    78: ("mute cuica", HIGH_TOM),
    79: ("open cuica", MID_TOM),
    80: ("mute triangle", CLOSED_HIHAT),
    81: ("open triangle", OPEN_HIHAT),
    82: ("shaker", CLOSED_HIHAT),
    83: ("jingle bell", CLOSED_HIHAT),
    84: ("bell tree", CRASH),
    85: ("castanets", SNARE),
    86: ("mute surdo", LOW_TOM),
    87: ("open surdo", KICK),
}
NEAREST = {pitch: drum for pitch, (_, drum) in PERCUSSION.items() if drum is not None}


def pitch_name(pitch: int) -> str:
    """`39 (hand clap)`, or only the number where General MIDI has no name for it."""
    return f"{pitch} ({PERCUSSION[pitch][0]})" if pitch in PERCUSSION else str(pitch)
