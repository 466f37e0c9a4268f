"""Training survives kills, signals, a full disk and a second process; seeds reproduce it."""

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_processes import FORKSERVER, start_training
from conftest import (
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    small_disk,
    write_records,
)

from groovae.errors import GroovaeError
from groovae.model.checkpoints import find_checkpoint, need_checkpoint, newest_readable
from groovae.model.formats import step_of
from groovae.training import hooks
from groovae.training.hooks import Progress
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, TrainResult, train
from groovae.upstream import DurableSaver, tf

KILLS = 2


def options(train_dir: Path, records: Path, **more: Any) -> TrainOptions:
    return TrainOptions(
        str(train_dir), str(records), **{"hparams": TINY_HPARAMS, "seed": 1, **more}
    )


# Kills


@pytest.mark.slow
def test_training_resumes_after_any_kill(records: Path, tmp_path: Path) -> None:
    """A checkpoint is saved, evaluated and kept at each step, so most kills interrupt that."""
    train_dir, rng = tmp_path / "train", random.Random(4)
    validation = write_records(tmp_path / "validation.tfrecord", a_groove(8))
    each_step = {"save_checkpoint_steps": 1, "eval_examples_path": str(validation)}
    reached = 0
    for kill in range(KILLS + 1):
        is_last = kill == KILLS
        num_steps = reached + 3 if is_last else 10_000
        run = options(train_dir, records, num_steps=num_steps, **each_step)
        process: Any = FORKSERVER.Process(target=train, args=(run,))
        process.start()
        if not is_last:
            # The index is written last; other files may be left of an earlier kill.
            while (
                process.is_alive() and not (train_dir / f"model.ckpt-{reached + 1}.index").exists()
            ):
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.6))
            process.kill()
        process.join(120)
        assert process.exitcode == (0 if is_last else -signal.SIGKILL)
        last = newest_readable(train_dir, lambda line: None)
        assert last
        assert step_of(last) > reached  # no checkpoint is ever lost
        reached = step_of(last)
    assert reached == num_steps
    assert_consistent(train_dir)


def assert_consistent(train_dir: Path) -> None:
    """Check that nothing but whole checkpoints is left, and that evaluations fit them."""
    parts = [path.name for path in train_dir.iterdir() if path.name.startswith("model.ckpt-")]
    steps = sorted({int(re.match(r"model\.ckpt-(\d+)\.", name)[1]) for name in parts})  # type: ignore[index]
    assert steps[-5:] == list(range(steps[-1] - 4, steps[-1] + 1))
    # A kill may come between the update of the list of checkpoints and the removal of an old one.
    assert len(steps) <= 5 + 3
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    evaluated = [row["step"] for row in rows]
    assert evaluated == sorted(set(evaluated))
    best = need_checkpoint(train_dir / "best")
    assert np.isfinite(tf.train.load_variable(best, "encoder/mu/bias")).all()
    kept = json.loads((train_dir / "best" / "evaluation.json").read_text())
    assert kept["step"] == step_of(best)
    assert kept["losses"]["loss"] <= min(row["loss"] for row in rows) + 1e-6


def test_new_checkpoint_is_on_disk_before_an_old_one_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, list[str]]] = []
    fsync = os.fsync

    def spy(handle: int) -> None:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))
        synced.append((name, sorted(path.name for path in tmp_path.glob("*.index"))))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", spy)
    with tf.Graph().as_default(), tf.Session() as session:
        saver = DurableSaver([tf.Variable(1.0)], max_to_keep=1)
        session.run(tf.global_variables_initializer())
        for step in (1, 2):
            saver.save(session, str(tmp_path / "model.ckpt"), step)
    assert [path.name for path in tmp_path.glob("*.index")] == ["model.ckpt-2.index"]
    both = ["model.ckpt-1.index", "model.ckpt-2.index"]
    names = {name for name, there in synced if there == both}
    assert {"model.ckpt-2.index", "model.ckpt-2.data-00000-of-00001", tmp_path.name} <= names


def save_steps(folder: Path, steps: Iterable[int], named: Iterable[str] = ()) -> None:
    """Save checkpoints of which one is kept, as if the file `checkpoint` named other ones."""
    folder.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        saver = DurableSaver([tf.Variable(1.0)], max_to_keep=1)
        saver.recover_last_checkpoints(list(named))
        session.run(tf.global_variables_initializer())
        for step in steps:
            saver.save(session, str(folder / "model.ckpt"), step, write_meta_graph=False)


def test_rotation_removes_no_file_of_another_folder(tmp_path: Path) -> None:
    save_steps(tmp_path / "runs1", [1])
    before = sorted(os.listdir(tmp_path / "runs1"))
    save_steps(tmp_path / "runs[1]", [1, 2])
    save_steps(tmp_path / "copy", [2, 3], [str(tmp_path / "runs1" / "model.ckpt-1")])
    assert sorted(os.listdir(tmp_path / "runs1")) == before
    assert [path.name for path in (tmp_path / "runs[1]").glob("*.index")] == ["model.ckpt-2.index"]
    assert [path.name for path in (tmp_path / "copy").glob("*.index")] == ["model.ckpt-3.index"]


# Signals, and two at once


def test_signal_saves_a_checkpoint_and_the_folder_is_locked_until_then(
    records: Path, tmp_path: Path
) -> None:
    flags = [f"--examples_path={records}", f"--hparams={TINY_HPARAMS}", "--num_steps=100000"]
    process, log = start_training(tmp_path, flags), tmp_path / "log"
    while process.is_alive() and not (log.exists() and "\nstep 1/" in log.read_text()):
        time.sleep(0.05)
    with pytest.raises(GroovaeError, match=f"another process.*process {process.pid} "):
        train(options(tmp_path / ".train", records, num_steps=1))
    before = log.read_text()
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 128 + signal.SIGINT, before
    rest = log.read_text()[len(before) :]
    last = need_checkpoint(tmp_path / ".train")
    assert last in rest.replace(".train/", f"{tmp_path}/.train/")
    assert "SIGINT" in rest
    assert newest_readable(tmp_path / ".train", lambda line: None) == last


@pytest.fixture(scope="module")
def terminated(
    records: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, TrainResult, list[float]]:
    """A training that gets SIGTERM in step 3, and its losses; files of its folder were links."""
    outside = tmp_path_factory.mktemp("terminated")
    train_dir, losses = outside / "train", []
    train_dir.mkdir()
    (outside / "metrics.csv").write_text("step,loss\n")
    for name in ("config.json", "metrics.csv", "checkpoint", "graph.pbtxt", "model.ckpt-3.index"):
        (train_dir / name).symlink_to(outside / name)

    def terminate(progress: Progress) -> None:
        losses.append(progress.loss)
        if progress.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hooks, "LOG_EVERY_STEPS", 3)  # to write metrics.csv
        result = train(options(train_dir, records, seed=2), on_step=terminate)
    return train_dir, result, losses


def test_sigterm_stops_after_the_current_step(
    terminated: tuple[Path, TrainResult, list[float]], trained: Path
) -> None:
    train_dir, result, losses = terminated
    assert (result.step, result.stopped_by) == (3, signal.SIGTERM)
    assert find_checkpoint(train_dir) == result.checkpoint == str(train_dir / "model.ckpt-3")
    # With another seed than `trained`.
    assert losses[-1] != pytest.approx(MetricsLog(trained / "metrics.csv").rows[-1]["loss"])


def test_links_in_a_training_folder_are_replaced(
    terminated: tuple[Path, TrainResult, list[float]],
) -> None:
    train_dir = terminated[0]
    assert [path for path in train_dir.iterdir() if path.is_symlink()] == []
    assert {path.name for path in train_dir.parent.iterdir()} == {"train", "metrics.csv"}
    assert (train_dir.parent / "metrics.csv").read_text() == "step,loss\n"


def test_unwritable_lock_is_an_error(records: Path, tmp_path: Path) -> None:
    (tmp_path / ".groovae-lock").mkdir()
    with pytest.raises(GroovaeError, match="groovae-lock"):
        train(options(tmp_path, records, num_steps=1))


# A full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MiB; only root can make one."""
    with small_disk(tmp_path / "disk", "40m") as disk:
        yield disk


def test_training_resumes_after_a_full_disk(
    in_process: Groovae, trained: Path, records: Path, disk: Path
) -> None:
    train_dir = shutil.copytree(trained, disk / "train")
    flags = [f"--train_dir={train_dir}", f"--examples_path={records}", f"--hparams={TINY_HPARAMS}"]
    for free_bytes in (8_192, 120_000):
        room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - free_bytes
        (disk / "filler").write_bytes(bytes(room))
        result = in_process("train", *flags, "--num_steps=6", "--save_checkpoint_steps=1")
        assert_one_line(result, 1, "groovae train: ")
        assert re.search("cannot write|No space|space left|ResourceExhausted", result.stderr)
        (disk / "filler").unlink()
    steps: list[int] = []
    train(
        options(train_dir, records, num_steps=7),
        on_step=lambda progress: steps.append(progress.step),
    )
    assert steps[-1] == 7
    assert steps[0] >= 4


# Seeds


@pytest.mark.usefixtures("equal_batches")
def test_seed_reproduces_a_checkpoint_exactly(records: Path, tmp_path: Path) -> None:
    """In another process, where str hashes differ, and whether or not it validates.

    The config is the one with random inputs.
    """
    config = "groovae_2bar_tap_fixed_velocity_note_dropout"
    flags = ["--num_steps=6", f"--config={config}", f"--hparams={TINY_HPARAMS}"]
    process = start_training(tmp_path, [*flags, f"--examples_path={records}", "--train_dir=a"])
    process.join()
    log = (tmp_path / "log").read_text()
    assert process.exitcode == 0, log
    seed = json.loads((tmp_path / "a" / "config.json").read_text())["seed"]
    assert f"seed {seed}\n" in log
    train(
        options(
            tmp_path / "b",
            records,
            config=config,
            seed=seed,
            num_steps=6,
            eval_examples_path=str(records),
            save_checkpoint_steps=4,
        )
    )
    first, second = (
        {file.name: file.read_bytes() for file in (tmp_path / name).glob("model.ckpt-6.[di]*")}
        for name in "ab"
    )
    assert first == second
    assert len(first) == 2
