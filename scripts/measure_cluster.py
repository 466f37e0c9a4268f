"""What a cluster costs on this machine: bytes a step over loopback, and windows a second.

    python scripts/measure_cluster.py --examples_path=data_dir/music-train.tfrecord

Runs `train_cluster.sh` with two workers beside the chief, asynchronous and synchronous, and
the same model in one process, each for 200 steps of the model of `configs/cpu.flags`. The bytes are
those that the system counted on its loopback device from step 100 to step 200, so let nothing else
talk there; the windows a second are those of metrics.csv at step 200. All processes share the cores
of this machine, so that more of them cannot be faster: it shows what the network takes, and that
nothing else is lost. The table in Markdown goes to stdout.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPU_HPARAMS = "enc_rnn_size=[256],dec_rnn_size=[128,128],z_size=128"
FIRST_STEP, LAST_STEP = 100, 200
REPLICAS = (3,)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples_path", type=Path, required=True, help="a TFRecord")
    parser.add_argument("--batch_size", type=int, default=120, help="divisible by 3")
    options = parser.parse_args()
    flags = [
        f"--examples_path={options.examples_path.resolve()}",
        f"--hparams=batch_size={options.batch_size},{CPU_HPARAMS}",
        f"--num_steps={LAST_STEP}",
        "--seed=1",
    ]
    alone = [str(ROOT / ".venv" / "bin" / "groovae"), "train", *flags]
    runs = {("one process", 1): alone}
    for sync in (False, True):
        for replicas in REPLICAS:
            kind = "synchronous" if sync else "asynchronous"
            more = [f"--num_sync_workers={replicas}"] if sync else []
            script = ["bash", str(ROOT / "scripts" / "train_cluster.sh"), str(replicas - 1)]
            runs[kind, replicas] = [*script, *flags, *more]
    print("| | replicas | windows a second | MB a step on loopback |\n|---|--:|--:|--:|")
    for (kind, replicas), command in runs.items():
        windows_per_second, megabytes = measure(command)
        print(f"| {kind} | {replicas} | {windows_per_second:.0f} | {megabytes:.2f} |", flush=True)
    return 0


def measure(command: list[str]) -> tuple[float, float]:
    """Windows a second and loopback megabytes a step of one training."""
    with tempfile.TemporaryDirectory(prefix="groovae_cluster_") as folder:
        metrics = Path(folder) / "train" / "metrics.csv"
        with open(Path(folder) / "log", "wb") as log:
            process = subprocess.Popen([*command, f"--train_dir={metrics.parent}"], stderr=log)
            before = wait_for(process, metrics, FIRST_STEP)
            after = wait_for(process, metrics, LAST_STEP)
            process.wait()
        if process.returncode or not (before and after):
            sys.exit((Path(folder) / "log").read_text())
        (step, count, _), (last_step, last_count, windows_per_second) = before, after
        return windows_per_second, (last_count - count) / (last_step - step) / 1e6


def wait_for(
    process: subprocess.Popen[bytes], metrics: Path, step: int
) -> tuple[float, int, float] | None:
    """The step that metrics.csv has come to, the bytes by then, and the pace there."""
    while True:
        has_ended = process.poll() is not None
        rows = list(csv.DictReader(metrics.read_text().splitlines())) if metrics.exists() else []
        if rows and float(rows[-1]["step"]) >= step:
            row = rows[-1]
            return float(row["step"]), loopback_bytes(), float(row["windows_per_second"])
        if has_ended:
            return None
        time.sleep(0.05)


def loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, counts = line.partition(":")
        if name.strip() == "lo":
            return int(counts.split()[0])
    sys.exit("there is no loopback device here")


if __name__ == "__main__":
    sys.exit(main())
