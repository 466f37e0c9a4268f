"""groovae demo: everything at once on embedded drum patterns: data, training, a groove.

Usage: groovae demo [--flags]

Writes the drum patterns that groovae brings along as MIDI files, preprocesses them, trains a small
model and draws grooves from it: no network, no data of your own, a minute or so on two cores.
Prints the MIDI files it drew, and the commands to do the same with your own data. Run again, it
continues from what is there.

Examples:
  groovae demo
  groovae demo --dir=/tmp/groovae --num_steps=1000 --temperature=0.8"""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from absl import flags

from groovae.cli.commands.train import Display
from groovae.cli.flags import define_seed, define_temperature, need_arguments
from groovae.cli.output import log

DEFAULT_NUM_STEPS = 400


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("dir", "data_dir/demo", "The folder to work in.", flag_values=values)
    flags.DEFINE_integer(
        "num_steps", DEFAULT_NUM_STEPS, "Steps to train.", lower_bound=1, flag_values=values
    )
    define_temperature(values, 0.5, "How much is left to chance in the grooves.")
    define_seed(values, 1, "For training and grooves.")


def run(values: Any, positional: list[str]) -> int:
    need_arguments(positional)
    from groovae.data.conversion import read_sequence
    from groovae.demo import run_demo
    from groovae.music.picture import preview

    with Display() as display:
        demo = run_demo(
            values.dir,
            values.num_steps,
            values.temperature,
            values.seed,
            display.log,
            display.on_step,
        )
    if demo.stopped_by:
        log("stopped; the same command continues here")
        return 128 + demo.stopped_by
    log(f"\nThe first of them:\n{preview(read_sequence(demo.grooves[0]))}")
    log("\nListen to these with any MIDI player or DAW:")
    for path in demo.grooves:
        print(path, flush=True)
    log(_what_next(values.dir))
    return 0


def _what_next(directory: str) -> str:
    lines = [
        "",
        "The same with your own folder of drum MIDI, here ../groove:",
        "  groovae preprocess ../groove data_dir/music.tfrecord",
        "  groovae train --num_steps=50000",
        "  groovae sample --temperature=0.5 --out=drum_4bar.mid",
        "",
        "More from the model of the demo:",
        f"  groovae sample --checkpoint={shlex.quote(f'{directory}/demo_train')} --bars=16 --wav",
    ]
    if shutil.which("groovae") is None:
        activate = shlex.quote(str(Path(sys.executable).with_name("activate")))
        lines += ["", "Once in each terminal, so that it finds groovae:", f"  source {activate}"]
    return "\n".join(lines)
