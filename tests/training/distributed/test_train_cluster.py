"""`groovae train` as a cluster of real processes on loopback: 1 ps, 1 chief, 2 workers."""

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_processes import ALL, TIMEOUT_SECONDS, Processes, free_ports
from conftest import ROOT, SMALL_HPARAMS

from groovae.model.checkpoints import find_checkpoint
from groovae.model.formats import step_of
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, train

# Small enough for four processes, large enough to learn.
HPARAMS = SMALL_HPARAMS.replace("batch_size=64", "batch_size=48")


class Trainings(Processes):
    """`groovae train`, all in one folder."""

    def __init__(self, folder: Path, *flags: object):
        super().__init__()
        self._folder, self._flags = folder, [str(flag) for flag in flags]

    def launch(self, name: str, tf_config: str) -> "subprocess.Popen[bytes]":
        with open(self._folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "groovae", "train", *self._flags],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CONFIG": tf_config},
                stdout=log,
                stderr=log,
            )

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def wait_for_step(self, step: int) -> None:
        """Until the chief has saved a checkpoint of that step or a later one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not self.step() >= step:
            assert time.monotonic() < deadline, self.log("chief0")
            assert self.is_running("chief0"), self.log("chief0")
            time.sleep(0.2)

    def step(self) -> int:
        checkpoint = find_checkpoint(self._folder / ".train")
        return step_of(checkpoint) if checkpoint else 0


def curve(train_dir: Path) -> dict[float, float]:
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    return {row["step"]: row["loss"] for row in rows}


def flags_for(records: Path, **more: Any) -> list[str]:
    flags = {"examples_path": records, "hparams": HPARAMS, "seed": 1, **more}
    return [f"--{name}={value}" for name, value in flags.items()]


@pytest.mark.slow
def test_steps_together_follow_the_curve_of_one_process(records: Path, tmp_path: Path) -> None:
    options = {"num_steps": 60, "save_checkpoint_steps": 20, "eval_examples_path": str(records)}
    flags = flags_for(records, num_sync_workers=3, **options)
    with Trainings(tmp_path, *flags) as processes:
        assert set(processes.codes(*ALL).values()) == {0}, processes.log("chief0")
        assert "48 windows a step" in processes.log("chief0")
        said = [processes.log(name) for name in ("ps0", "worker0", "worker1")]
    train(TrainOptions(str(tmp_path / "alone"), str(records), hparams=HPARAMS, seed=1, **options))  # type: ignore[arg-type]
    together, alone = curve(tmp_path / ".train"), curve(tmp_path / "alone")
    assert together.keys() == alone.keys() == {20, 40, 60}
    assert alone[60] < 0.8 * alone[20]
    for step, loss in alone.items():
        assert together[step] == pytest.approx(loss, rel=0.05), step
    assert not any("step " in text for text in said)  # only the chief tells


@pytest.mark.slow
def test_a_worker_and_a_chief_that_were_killed_come_back(records: Path, tmp_path: Path) -> None:
    num_steps = 600
    flags = flags_for(records, num_steps=num_steps, save_checkpoint_steps=20)
    with Trainings(tmp_path, *flags) as processes:
        processes.wait_for_step(20)
        processes.kill("worker1")
        processes.start("worker1")
        processes.wait_for_step(processes.step() + 40)
        processes.kill("chief0")
        step = processes.step()
        processes.start("chief0")
        codes = processes.codes(*ALL)
        assert codes == dict.fromkeys(ALL, 0), processes.log("chief0")
        assert f"from step {step:,} to step {num_steps}" in processes.log("chief0")
    assert processes.step() >= num_steps
    rows = MetricsLog(tmp_path / ".train" / "metrics.csv").rows
    # It has learned: for hits alone, a coin in each cell would cost 64 * 9 * ln 2 = 399.
    assert rows[-1]["loss"] < 300


@pytest.mark.slow
def test_a_lost_parameter_server_ends_all_with_a_line(records: Path, tmp_path: Path) -> None:
    with Trainings(
        tmp_path, *flags_for(records, num_steps=10**6, save_checkpoint_steps=5)
    ) as processes:
        processes.wait_for_step(1)
        processes.kill("ps0")
        codes = processes.codes("chief0", "worker0", "worker1")
        assert codes == {"chief0": 1, "worker0": 1, "worker1": 1}
        for name in codes:
            last = processes.log(name).strip().splitlines()[-1]
            assert "parameter server 0" in last
            assert "start all processes again" in last


def test_magentas_own_flags_train_on_a_server_that_runs_elsewhere(
    records: Path, tmp_path: Path
) -> None:
    """`--master` and `--num_ps_tasks`: the batches are fed from here, where the records are."""
    ps, worker = (f"127.0.0.1:{port}" for port in free_ports(2))
    script = (
        "import sys, json; from groovae.upstream import tf; "
        "tf.train.Server(json.loads(sys.argv[1]), sys.argv[2], 0).join()"
    )
    cluster = json.dumps({"ps": [ps], "worker": [worker]})
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    servers = [
        subprocess.Popen([sys.executable, "-c", script, cluster, job], env=env)
        for job in ("ps", "worker")
    ]
    try:
        options = TrainOptions(
            str(tmp_path / "train"),
            str(records),
            hparams=HPARAMS,
            num_steps=5,
            master=f"grpc://{worker}",
            num_ps_tasks=1,
        )
        assert train(options).step == 5
        together = dataclasses.replace(options, num_steps=7, num_sync_workers=1)
        assert train(together).step == 7
    finally:
        for server in servers:
            server.kill()
            server.wait()
