"""Train native Magenta 2.1.4 with a preset of groovae's, to evaluate both in the same way.

    python scripts/train_native.py configs/cpu.flags .native     about an hour on 2 cores
    groovae evaluate --checkpoint=.native/train --metrics --config=groovae_4bar --hparams=... \\
        --examples_path=data_dir/music-test.tfrecord

Runs with any Python from 3.10 on Linux. The preset sets the config, the hparams, the number of
steps and the records (`groovae preprocess` writes the same as native); its `--hop_bars` sets the
`hop_size` of native's converter, for which native has no flag. As groovae shuffles all windows,
native gets a shuffle buffer for all of them; its own holds 10 batches and nearly keeps the order of
the file. uv makes an environment for native Magenta once, in `.venvs/native-magenta`.

The losses of each step go to FOLDER/losses.json as lines of JSON, by Magenta's names.
"""

import argparse
import shlex
import sys
from pathlib import Path

from benchmark_run import ROOT, Failure, log, make_native, probe

PROBE = ROOT / "scripts" / "learning_probe.py"
NEEDED = ("config", "examples_path", "num_steps", "hparams")


def read_preset(flagfile: Path) -> dict[str, str]:
    """Read the flags of an absl flagfile, one per line, into a dict."""
    lines = flagfile.read_text().splitlines()
    words = [word for line in lines for word in shlex.split(line, comments=True)]
    preset = dict(word.lstrip("-").split("=", 1) for word in words if "=" in word)
    missing = [name for name in NEEDED if name not in preset]
    if missing:
        raise Failure(f"{flagfile}: --{', --'.join(missing)} missing")
    return preset


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", type=Path, help="such as configs/cpu.flags")
    parser.add_argument("folder", type=Path, help="new folder for native's checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--native_env", type=Path, default=ROOT / ".venvs" / "native-magenta")
    parser.add_argument("--python38", help="Python 3.8 for that environment")
    options = parser.parse_args()
    try:
        train(options)
    except (Failure, OSError) as failure:
        log(str(failure))
        return 1
    return 0


def train(options: argparse.Namespace) -> None:
    preset = read_preset(options.preset)
    records = Path(preset["examples_path"]).absolute()
    if not records.is_file():
        raise Failure(f"{records}: no such file; make it with `groovae preprocess`")
    native = make_native(options.native_env.absolute(), options.python38)
    options.folder.mkdir(parents=True)
    program = f"native_shuffled:{preset.get('hop_bars', '')}"
    flags = [f"--{name}={preset[name]}" for name in ("config", "num_steps", "hparams")]
    flags += [f"--examples_path={records}", f"--run_dir={options.folder.absolute()}"]
    log_file = options.folder.absolute() / "losses.log"
    probe(native, "train", log_file, program, str(options.seed), *flags, script=PROBE)


if __name__ == "__main__":
    sys.exit(main())
