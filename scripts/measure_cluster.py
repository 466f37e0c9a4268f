"""Measure a cluster on this machine: loopback bytes per step, and windows per second.

    python scripts/measure_cluster.py --examples_path=data_dir/music-train.tfrecord

Trains the model of `configs/cpu.flags` for 200 steps in one process, and by `train_cluster.sh` with
two workers beside the chief, asynchronously and synchronously. Bytes are those of the loopback
device from step 100 to step 200, so nothing else should use it; windows per second are those in
metrics.csv at step 200. All processes share the cores of this machine, so a cluster cannot be
faster here: the figures show the cost of the network code. The table in Markdown goes to stdout.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark_table import markdown_table

ROOT = Path(__file__).resolve().parent.parent
CPU_HPARAMS = "enc_rnn_size=[256],dec_rnn_size=[128,128],z_size=128"
FIRST_STEP, LAST_STEP = 100, 200
REPLICAS = 3


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
    cluster = ["bash", str(ROOT / "scripts" / "train_cluster.sh"), str(REPLICAS - 1), *flags]
    commands = {
        ("one process", 1): alone,
        ("asynchronous", REPLICAS): cluster,
        ("synchronous", REPLICAS): [*cluster, f"--num_sync_workers={REPLICAS}"],
    }
    rows = []
    for (kind, replicas), command in commands.items():
        windows_per_second, megabytes = measure(command)
        rows.append([kind, str(replicas), f"{windows_per_second:.0f}", f"{megabytes:.2f}"])
    header = ["", "replicas", "windows per second", "MB per step on loopback"]
    print(markdown_table(header, rows))
    return 0


def measure(command: list[str]) -> tuple[float, float]:
    """Return windows per second and loopback megabytes per step of a training."""
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
    """Wait for a step in metrics.csv; return it, loopback bytes, and windows per second."""
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
    sys.exit("no loopback device found")


if __name__ == "__main__":
    sys.exit(main())
