"""`groovae train` in real clusters: results, restarts after kills, a lost ps, Ctrl-C."""

import dataclasses
import itertools
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cluster_processes import ALL, ClusterProcesses, free_ports
from conftest import TINY_HPARAMS, write_records

from groovae.data.records import find
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf

# Small enough for four processes, large enough to learn within a few steps.
HPARAMS = (
    "batch_size=12,enc_rnn_size=[64],dec_rnn_size=[48],z_size=32,free_bits=6,"
    "dropout_keep_prob=1.0,learning_rate=0.003"
)
SUCCESS = dict.fromkeys(ALL, 0)


def validation_losses(train_dir: Path) -> dict[float, float]:
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    return {row["step"]: row["loss"] for row in rows}


@pytest.fixture
def flags(records: Path, tmp_path: Path) -> dict[str, Any]:
    """Flags of a training that is evaluated on a tenth of its data."""
    tenth = write_records(tmp_path / "tenth.tfrecord", *itertools.islice(find(records), 10))
    return {
        "examples_path": str(records),
        "eval_examples_path": str(tenth),
        "eval_every": 5,
        "save_checkpoint_steps": 1,
        "hparams": HPARAMS,
        "seed": 1,
        "num_steps": 10**6,
    }


@pytest.mark.slow
def test_synchronous_cluster_trains_as_one_process_survives_kills_and_stops_on_ctrl_c(
    flags: dict[str, Any], tmp_path: Path
) -> None:
    with ClusterProcesses(tmp_path, **flags, num_sync_workers=3) as cluster:
        cluster.wait_for_step(11)  # and step 10 is evaluated
        assert "12 windows a step" in cluster.log("chief0")
        for name in ("ps0", "worker0", "worker1"):
            assert [path.name for path in (tmp_path / name).iterdir()] == ["log"]
            assert "step " not in cluster.log(name)
        cluster.kill("worker1")
        cluster.start("worker1")
        cluster.wait_for_step(cluster.step() + 3)
        cluster.kill("chief0")
        saved = cluster.step()
        cluster.start("chief0")
        cluster.wait_for_step(saved + 3)
        assert f"from step {saved:,} " in cluster.log("chief0")
        # The variables are gone with the ps; the chief restores them.
        cluster.kill("ps0")
        cluster.start("ps0")
        cluster.wait_for_step(cluster.step() + 3)
        # The others now wait inside of TensorFlow, where Python handles no signals.
        cluster.kill("worker1")
        time.sleep(1)
        cluster.interrupt("worker0")
        assert cluster.exit_codes("worker0") == {"worker0": -signal.SIGINT}
        cluster.interrupt("chief0")
        assert cluster.exit_codes("chief0", "ps0") == {"chief0": 128 + signal.SIGINT, "ps0": 0}
        assert f"model.ckpt-{cluster.step()}" in cluster.log("chief0").splitlines()[-1]
    train(TrainOptions(str(tmp_path / "alone"), **{**flags, "num_steps": 10}))
    alone, together = (validation_losses(tmp_path / name) for name in ("alone", "train"))
    assert alone.keys() == {5, 10}
    assert alone[10] < 0.8 * alone[5]
    assert {step: together[step] for step in alone} == pytest.approx(alone, rel=0.05)


@pytest.mark.slow
def test_asynchronous_cluster_survives_a_kill_and_ends_when_the_ps_is_lost_or_all_is_trained(
    flags: dict[str, Any], tmp_path: Path
) -> None:
    """How processes that were killed are started again is in the test above."""
    with ClusterProcesses(tmp_path, lost_after_seconds=4, **flags) as cluster:
        cluster.wait_for_step(5)
        cluster.kill("worker1")
        cluster.wait_for_step(max(60, cluster.step() + 10))  # the others go on
        cluster.kill("ps0")
        names = ("chief0", "worker0")
        assert cluster.exit_codes(*names) == dict.fromkeys(names, 1)
        for name in names:
            last = cluster.log(name).splitlines()[-1]
            for words in ("parameter server 0 at 127.0.0.1:", "lost", "start all processes"):
                assert words in last
    # It has learned: the loss of random hits is 64 steps * 9 drums * ln 2 = 399 nats.
    assert [*validation_losses(tmp_path / "train").values()][-1] < 320
    # How synchronous workers end is in test_runtime.py.
    flags["num_steps"] = cluster.step() + 5
    with ClusterProcesses(tmp_path, **flags) as cluster:
        assert cluster.exit_codes(*ALL) == SUCCESS, cluster.log("chief0")
        assert cluster.step() >= flags["num_steps"]


def test_workers_do_not_wait_for_a_chief_that_has_nothing_to_do(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "train")
    flags: dict[str, Any] = {"examples_path": records, "hparams": TINY_HPARAMS, "num_steps": 3}
    with ClusterProcesses(tmp_path, **flags) as cluster:
        assert cluster.exit_codes(*ALL) == SUCCESS, cluster.log("chief0")
        assert "raise --num_steps" in cluster.log("chief0")


def test_magentas_flags_train_on_a_server_started_elsewhere(records: Path, tmp_path: Path) -> None:
    """`--master` and `--num_ps_tasks`: this process, which has the records, feeds the batches."""
    ps, worker = (f"127.0.0.1:{port}" for port in free_ports(2))
    cluster = tf.train.ClusterSpec({"ps": [ps], "worker": [worker]})
    servers = [tf.train.Server(cluster, job, 0) for job in ("ps", "worker")]
    options = TrainOptions(
        str(tmp_path / "train"),
        str(records),
        hparams=TINY_HPARAMS,
        num_steps=3,
        master=servers[1].target,
        num_ps_tasks=1,
    )
    assert train(options).step == 3
    together = dataclasses.replace(options, num_steps=5, num_sync_workers=1)
    assert train(together).step == 5
