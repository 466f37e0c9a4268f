"""Training one can leave alone: kills, full disks, two at once, and the same again to the bit."""

import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, TINY_HPARAMS, Groovae, assert_one_line, small_disk

from groovae.errors import GroovaeError
from groovae.model.checkpoints import need_checkpoint, newest_readable
from groovae.model.formats import step_of
from groovae.training.metrics_csv import MetricsLog
from groovae.training.train import TrainOptions, train
from groovae.upstream import DurableSaver, tf

KILLS = 10


def options(train_dir: Path, records: Path, **more: Any) -> TrainOptions:
    return TrainOptions(str(train_dir), str(records), hparams=TINY_HPARAMS, seed=1, **more)


def start(folder: Path, *flags: object) -> subprocess.Popen[str]:
    """`groovae train` in the background, once it has done its first step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "groovae", "train", *map(str, flags)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if line.startswith("step "):
            return process
    raise AssertionError("".join(said))


# kill -9


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on(records: Path, tmp_path: Path) -> None:
    """A checkpoint is saved, evaluated and kept at each step, so that most kills hit one."""
    train_dir, moments = tmp_path / "train", random.Random(4)
    # Processes that find all imported, so that the kills come while something is going on.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["groovae.training.train"])
    eager = {"save_checkpoint_steps": 1, "eval_examples_path": str(records)}
    reached = 0
    for kill in range(KILLS + 1):
        is_last = kill == KILLS
        num_steps = reached + 3 if is_last else 10_000
        wanted = options(train_dir, records, num_steps=num_steps, **eager)
        process = context.Process(target=train, args=(wanted,))
        process.start()
        if not is_last:
            _wait_for_a_step(process, train_dir, reached)
            time.sleep(moments.uniform(0, 0.6))
            process.kill()
        process.join(120)
        assert process.exitcode == (0 if is_last else -signal.SIGKILL)
        last = newest_readable(train_dir, lambda line: None)
        assert last
        assert step_of(last) > reached  # no checkpoint is ever lost
        reached = step_of(last)
    assert reached == num_steps
    _assert_tidy(train_dir)


def _wait_for_a_step(process: Any, train_dir: Path, reached: int) -> None:
    """Until a checkpoint is whole: its index comes last, and parts may be left of a kill before."""
    while process.is_alive() and not (train_dir / f"model.ckpt-{reached + 1}.index").exists():
        time.sleep(0.01)


def _assert_tidy(train_dir: Path) -> None:
    """Nothing of the kills is left but what may be, and the files are of one story."""
    names = [path.name for path in train_dir.iterdir()]
    parts = [name for name in names if name.startswith("model.ckpt-")]
    steps = {re.match(r"model\.ckpt-(\d+)\.", name) for name in parts}
    assert None not in steps
    kept = sorted(int(match[1]) for match in steps if match and match[0])
    newest = sorted(set(kept))[-5:]
    assert newest == list(range(newest[-1] - 4, newest[-1] + 1))
    # A kill may come between the list of checkpoints and the removal of one that left it.
    assert len(set(kept)) <= 5 + 3
    rows = MetricsLog(train_dir / "eval" / "metrics.csv").rows
    evaluated = [row["step"] for row in rows]
    assert evaluated == sorted(set(evaluated))
    best = need_checkpoint(train_dir / "best")
    assert np.isfinite(tf.train.load_variable(best, "encoder/mu/bias")).all()
    kept = json.loads((train_dir / "best" / "evaluation.json").read_text())
    assert kept["step"] == step_of(best)
    assert kept["losses"]["loss"] <= min(row["loss"] for row in rows) + 1e-6


def test_a_new_checkpoint_is_on_the_disk_before_an_old_one_is_removed(
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


# A full disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MiB; only root can make one."""
    with small_disk(tmp_path / "disk", "40m") as disk:
        yield disk


@pytest.mark.parametrize("free_bytes", [8_192, 120_000])
def test_a_full_disk_ends_it_and_with_room_it_goes_on(
    free_bytes: int, groovae: Groovae, records: Path, disk: Path
) -> None:
    train_dir = disk / "train"
    train(options(train_dir, records, num_steps=3))
    room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - free_bytes
    (disk / "filler").write_bytes(bytes(room))
    flags = [f"--train_dir={train_dir}", f"--examples_path={records}", f"--hparams={TINY_HPARAMS}"]
    result = groovae("train", *flags, "--num_steps=6", "--save_checkpoint_steps=1")
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


# Two at once


def test_a_second_training_in_a_folder_is_refused_until_the_first_is_gone(
    groovae: Groovae, records: Path, tmp_path: Path
) -> None:
    flags = [f"--examples_path={records}", f"--hparams={TINY_HPARAMS}"]
    first = start(tmp_path, *flags, "--num_steps=1000000")
    try:
        second = groovae("train", *flags, "--num_steps=1")
        assert_one_line(second, 1, ".train: another process trains here", f"process {first.pid}")
    finally:
        first.kill()
        first.wait(60)
    third = groovae("train", *flags, "--num_steps=1")
    assert third.returncode == 0, third.stderr


def test_a_lock_that_cannot_be_written_is_one_error(records: Path, tmp_path: Path) -> None:
    (tmp_path / ".groovae-lock").mkdir()
    with pytest.raises(GroovaeError, match="groovae-lock"):
        train(options(tmp_path, records, num_steps=1))


# The same again


@pytest.mark.parametrize("config", ["groovae_4bar", "groovae_2bar_tap_fixed_velocity_note_dropout"])
def test_the_same_seed_gives_the_same_checkpoint_to_the_bit(
    config: str, groovae: Groovae, records: Path, tmp_path: Path
) -> None:
    """After 50 steps, in processes of their own; validation in between changes nothing."""
    flags = ["--seed=5", "--num_steps=50", f"--config={config}", f"--hparams={TINY_HPARAMS}"]
    extra = {"a": [], "b": [f"--eval_examples_path={records}", "--save_checkpoint_steps=20"]}
    data = {}
    for name, more in extra.items():
        result = groovae(
            "train", *flags, *more, f"--train_dir={name}", f"--examples_path={records}"
        )
        assert result.returncode == 0, result.stderr
        files = sorted((tmp_path / name).glob("model.ckpt-50.[di]*"))
        data[name] = [(file.name, file.read_bytes()) for file in files]
    assert data["a"] == data["b"]
    assert len(data["a"]) == 2


def test_a_drawn_seed_is_told_kept_and_good_for_the_same_again(
    groovae: Groovae, records: Path, tmp_path: Path
) -> None:
    flags = [f"--examples_path={records}", f"--hparams={TINY_HPARAMS}", "--num_steps=2"]
    result = groovae("train", *flags)
    seed = json.loads((tmp_path / ".train" / "config.json").read_text())["seed"]
    assert f"seed {seed}\n" in result.stderr
    losses: list[float] = []
    again = TrainOptions(
        str(tmp_path / "again"), str(records), hparams=TINY_HPARAMS, num_steps=2, seed=seed
    )
    train(again, on_step=lambda progress: losses.append(progress.loss))
    assert f"step 2/2  loss {losses[-1]:.2f}" in result.stderr
