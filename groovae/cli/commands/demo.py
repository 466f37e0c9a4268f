"""groovae demo: train a small model on bundled drum patterns and sample from it.

Usage: groovae demo [--flags]

Writes the bundled drum patterns as MIDI files, preprocesses them, trains a small model and samples
grooves from it, without a network and in about a minute on two cores. Prints the MIDI files of the
grooves, and logs the commands to do the same with your own data. A second run resumes the first.

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
from groovae.cli.flags import check_arguments, define_seed, define_temperature
from groovae.cli.output import log, print_text

DEFAULT_NUM_STEPS = 400


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_string("dir", "data_dir/demo", "Folder to write.", values)
    flags.DEFINE_integer("num_steps", DEFAULT_NUM_STEPS, "Training steps.", 1, flag_values=values)
    define_temperature(values, 0.5, "Sampling temperature of the grooves.")
    define_seed(values, 1, "Random seed of the training and the grooves.")


def run(values: Any, positional: list[str]) -> int:
    check_arguments(positional)
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
        log("stopped; run the same command again to resume")
        return 128 + demo.stopped_by
    log(f"\nThe first groove:\n{preview(read_sequence(demo.grooves[0]))}")
    log("\nMIDI files, for any MIDI player or DAW:")
    for path in demo.grooves:
        print_text(str(path))
    log(_next_steps(values.dir))
    return 0


def _next_steps(directory: str) -> str:
    lines = [
        "",
        "The same with your own folder of drum MIDI, here ../groove:",
        "  groovae preprocess ../groove data_dir/music.tfrecord",
        "  groovae train --num_steps=50000",
        "  groovae sample --temperature=0.5 --out=drum_4bar.mid",
        "",
        "More grooves from the model of the demo:",
        f"  groovae sample --checkpoint={shlex.quote(f'{directory}/demo_train')} --bars=16 --wav",
    ]
    if shutil.which("groovae") is None:
        activate = shlex.quote(str(Path(sys.executable).with_name("activate")))
        lines += ["", "To put groovae on the PATH of a terminal:", f"  source {activate}"]
    return "\n".join(lines)
