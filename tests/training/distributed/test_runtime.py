"""Real clusters of processes on loopback: their end, kills, restarts, lost parameter servers.

Each process runs this file as a program: a small regression in tf_slim's training loop, put
together as `groovae train` does it.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster_processes import ALL, TIMEOUT_SECONDS, Processes, free_ports

from groovae.errors import GroovaeError
from groovae.training.distributed import runtime
from groovae.training.distributed.sync_hooks import SyncHook
from groovae.training.distributed.tf_config import Cluster, from_environment
from groovae.upstream import tf, tf_slim

BATCH_SIZE = 12


# The program of each process


class Regression:
    """Of y on x, with one loss of 12 rows a step, which the replicas share."""

    def __init__(self, sync_replicas: int):
        self.inputs = tf.placeholder(tf.float32, [None, 4])
        self.outputs = tf.placeholder(tf.float32, [None])
        weights = tf.get_variable("weights", [4], initializer=tf.zeros_initializer())
        bias = tf.get_variable("bias", [], initializer=tf.zeros_initializer())
        errors = tf.linalg.matvec(self.inputs, weights) + bias - self.outputs
        self.loss = tf.reduce_mean(tf.square(errors))
        self.global_step = tf.train.get_or_create_global_step()
        adam = tf.train.AdamOptimizer(0.05)
        self.sync: Any = (
            tf.train.SyncReplicasOptimizer(adam, sync_replicas) if sync_replicas else None
        )
        optimizer = self.sync or adam
        gradients = optimizer.compute_gradients(self.loss)
        self.train_op = optimizer.apply_gradients(gradients, self.global_step)


class Share(tf.train.SessionRunHook):
    """Feeds a replica its rows of each step, and prints [step, loss] after it."""

    def __init__(self, model: Regression, replica: int, replicas: int, step_seconds: float):
        self._model, self._rows = model, slice(replica, None, replicas)
        self._step_seconds = step_seconds

    def before_run(self, run_context: Any) -> Any:
        time.sleep(self._step_seconds)
        rng = np.random.default_rng(int(run_context.session.run(self._model.global_step)))
        x = rng.normal(size=(BATCH_SIZE, 4))
        y = x @ [1.0, -2.0, 3.0, 0.5]
        feeds = {self._model.inputs: x[self._rows], self._model.outputs: y[self._rows]}
        return tf.train.SessionRunArgs(self._model.loss, feeds)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step = int(run_context.session.run(self._model.global_step))
        print(json.dumps([step, float(run_values.results)]), flush=True)


def log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def train(options: argparse.Namespace, model: Regression, **where: Any) -> None:
    """The loop; only the chief has the folder, and the workers of a step together do not count."""
    if where["is_chief"] or not options.sync:
        where["hooks"].append(tf.train.StopAtStepHook(last_step=options.num_steps))
    tf_slim.training.train(
        train_op=model.train_op,
        logdir="train" if where["is_chief"] else None,
        scaffold=tf.train.Scaffold(saver=tf.train.Saver()),
        save_checkpoint_secs=1,
        **where,
    )


def play(options: argparse.Namespace) -> None:
    cluster = from_environment()
    if not cluster:
        model = Regression(1 if options.sync else 0)
        hooks = [SyncHook(model.sync, True)] if model.sync else []
        hooks.append(Share(model, 0, 1, options.step_seconds))
        return train(options, model, hooks=hooks, is_chief=True)
    if cluster.is_ps:
        return runtime.serve(cluster, log)
    replicas = len(cluster.replicas)
    with runtime.cluster_session(cluster, log) as target:
        with tf.device(runtime.device_setter(cluster)):
            model = Regression(replicas if options.sync else 0)
        hooks = runtime.hooks(cluster, model.sync)
        hooks.append(Share(model, cluster.replica, replicas, options.step_seconds))
        config = runtime.add_filters(tf.ConfigProto(), cluster)
        if cluster.is_chief:
            is_needed = last_step(Path()) < options.num_steps
        else:
            is_needed = runtime.wait_for_chief(cluster, target, log)
        if is_needed:
            train(
                options, model, hooks=hooks, is_chief=cluster.is_chief, master=target, config=config
            )
        if cluster.is_chief:
            runtime.finish(cluster, target)


# Its processes


class Regressions(Processes):
    """Each in a folder of its own, of its name."""

    def __init__(self, folder: Path, *flags: str):
        super().__init__()
        self._folder, self._flags = folder, flags

    def launch(self, name: str, tf_config: str) -> "subprocess.Popen[bytes]":
        return start(self._folder / name, *self._flags, TF_CONFIG=tf_config)

    def curve(self, name: str) -> list[tuple[int, float]]:
        """(step, loss) of each step that the replica has done, over all its lives."""
        return read_curve(self._folder / name)

    def errors(self, name: str) -> str:
        return (self._folder / name / "stderr").read_text()

    def wait_for_steps(self, name: str, more: int) -> None:
        wanted = len(self.curve(name)) + more
        while len(self.curve(name)) < wanted:
            assert self.is_running(name), self.errors(name)
            time.sleep(0.05)


def start(folder: Path, *flags: str, **env: str) -> "subprocess.Popen[bytes]":
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "stdout", "ab") as out, open(folder / "stderr", "ab") as err:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **env}
        command = [sys.executable, __file__, *flags]
        return subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=err)


def read_curve(folder: Path) -> list[tuple[int, float]]:
    lines = (folder / "stdout").read_text().splitlines(keepends=True)
    return [tuple(json.loads(line)) for line in lines if line.endswith("\n")]


def last_step(folder: Path) -> int:
    checkpoint = tf.train.latest_checkpoint(str(folder / "train"))
    return int(checkpoint.rpartition("-")[2]) if checkpoint else 0


ENDED_WELL = dict.fromkeys(ALL, 0)
# What asynchronous replicas do then is in test_train_cluster.py.
SYNC = ("--sync", "--num_steps=80", "--step_seconds=0.1")


# Runs


def test_steps_together_are_the_steps_of_one_process(tmp_path: Path) -> None:
    alone = start(tmp_path / "alone", "--sync", "--num_steps=20")
    with Regressions(tmp_path, "--sync", "--num_steps=20") as processes:
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("chief0")
        curves = [dict(processes.curve(name)) for name in ("chief0", "worker0", "worker1")]
    assert alone.wait(TIMEOUT_SECONDS) == 0
    reference = dict(read_curve(tmp_path / "alone"))
    assert list(reference) == list(range(1, 21))
    for step, loss in reference.items():
        assert np.mean([curve[step] for curve in curves]) == pytest.approx(loss, rel=1e-4), step
    assert last_step(tmp_path / "chief0") == 20


def test_only_the_chief_writes_and_no_one_chatters(tmp_path: Path) -> None:
    with Regressions(tmp_path, "--num_steps=30") as processes:
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("chief0")
        assert last_step(tmp_path / "chief0") >= 30
        for name in ("worker0", "worker1", "ps0"):
            assert {path.name for path in (tmp_path / name).iterdir()} == {"stdout", "stderr"}
        for name in ("chief0", "worker0", "worker1"):
            talk = [line for line in processes.errors(name).splitlines() if line]
            assert [line for line in talk if not line.startswith("waiting for the ")] == []
        assert processes.errors("ps0").splitlines()[1:] == ["the training is over"]


@pytest.mark.slow
def test_a_worker_that_was_killed_joins_again(tmp_path: Path) -> None:
    with Regressions(tmp_path, *SYNC) as processes:
        processes.wait_for_steps("worker1", 5)
        processes.kill("worker1")
        processes.start("worker1")
        processes.wait_for_steps("worker1", 5)
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("chief0")
    assert last_step(tmp_path / "chief0") == 80


@pytest.mark.slow
def test_a_chief_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    with Regressions(tmp_path, *SYNC) as processes:
        processes.wait_for_steps("chief0", 15)
        processes.kill("chief0")
        before = len(processes.curve("chief0"))
        saved = last_step(tmp_path / "chief0")
        processes.start("chief0")
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("chief0")
        after = processes.curve("chief0")[before:]
    assert saved < after[0][0] < 80
    assert last_step(tmp_path / "chief0") == 80


@pytest.mark.slow
def test_a_lost_parameter_server_ends_everyone(tmp_path: Path) -> None:
    with Regressions(tmp_path, "--sync", "--num_steps=100000", "--step_seconds=0.1") as processes:
        processes.wait_for_steps("worker1", 5)
        processes.kill("ps0")
        names = ("chief0", "worker0", "worker1")
        assert processes.codes(*names) == dict.fromkeys(names, 1)
        for name in names:
            last = processes.errors(name).splitlines()[-1]
            for words in ("parameter server 0 at 127.0.0.1:", "is lost", "start all processes"):
                assert words in last


@pytest.mark.slow
def test_a_parameter_server_may_come_back_at_once(tmp_path: Path) -> None:
    with Regressions(tmp_path, *SYNC) as processes:
        processes.wait_for_steps("chief0", 15)
        processes.kill("ps0")
        processes.start("ps0")
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("chief0")
    assert last_step(tmp_path / "chief0") == 80


@pytest.mark.slow
def test_who_waits_for_a_killed_worker_hears_ctrl_c(tmp_path: Path) -> None:
    """In a synchronous step the others wait within TensorFlow, where Python does not hear it."""
    with Regressions(tmp_path, "--sync", "--num_steps=100000") as processes:
        processes.wait_for_steps("worker1", 5)
        processes.kill("worker1")
        steps = -1
        while steps != (steps := len(processes.curve("chief0"))):
            time.sleep(1)
        for name in ("chief0", "worker0"):
            processes.signal(name, signal.SIGINT)
        interrupted = -signal.SIGINT
        assert processes.codes("chief0", "worker0") == dict.fromkeys(
            ("chief0", "worker0"), interrupted
        )


@pytest.mark.slow
def test_a_training_that_is_over_ends_who_comes_late(tmp_path: Path) -> None:
    """The chief finds nothing to do; the workers have not begun, and must not wait for it."""
    flags = ("--num_steps=3",)
    alone = start(tmp_path / "chief0", *flags)
    assert alone.wait(TIMEOUT_SECONDS) == 0
    with Regressions(tmp_path, *flags) as processes:
        assert processes.codes(*ALL) == ENDED_WELL, processes.errors("worker0")
        assert processes.curve("worker0") == processes.curve("worker1") == []


# Without a cluster


# TensorFlow's thread outlives its session, and ends with an error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_tensorflows_own_sync_hook_still_closes_the_queue_and_is_waited_for() -> None:
    assert run_sync_hook(lambda model: model.sync.make_session_run_hook(True)) == (True, True)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_our_sync_hook_leaves_the_queue_to_the_next_chief_and_no_one_waits() -> None:
    assert run_sync_hook(lambda model: SyncHook(model.sync, True)) == (False, False)


def run_sync_hook(make: Any) -> tuple[bool, bool]:
    """Whether after an error the token queue is closed, and whether a thread of the hook lives."""

    def threads(name: str) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if name in thread.name]

    with tf.Graph().as_default():
        model = Regression(sync_replicas=1)
        hook = make(model)
        hook.begin()
        is_closed = model.sync.get_chief_queue_runner().queue.is_closed()
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            session.run(tf.local_variables_initializer())
            coordinator = tf.train.Coordinator()
            hook.after_create_session(session, coordinator)
            coordinator.request_stop()
            for thread in threads("close_on_stop"):
                thread.join(TIMEOUT_SECONDS)
            is_waited_for = False
            try:
                coordinator.join(stop_grace_period_secs=2)
            except RuntimeError:
                is_waited_for = True
            result = bool(session.run(is_closed)), is_waited_for
    for thread in threads("sync_token_q"):
        thread.join(TIMEOUT_SECONDS)
    return result


def test_a_port_in_use_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GroovaeError, match=f"cannot serve at {address}.*in use") as error:
            runtime.serve(Cluster((address,), ("127.0.0.1:1",), "ps", 0), print)
    assert "\n" not in str(error.value)


def test_a_parameter_server_that_never_comes_is_given_up(monkeypatch: Any) -> None:
    monkeypatch.setattr(runtime, "GIVE_UP_AFTER_SECONDS", 0.1)
    ps, chief = (f"127.0.0.1:{port}" for port in free_ports(2))
    cluster = Cluster((ps,), (chief,), "chief", 0)
    with (
        pytest.raises(GroovaeError, match=f"parameter server 0 at {ps}: start it"),
        runtime.cluster_session(cluster, print),
    ):
        pass


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[int]:
    family, host = request.param
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError as error:
            pytest.skip(f"no {host} here: {error}")
        server.listen()
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("listening", "host"),
    [
        ((socket.AF_INET, "127.0.0.1"), "127.0.0.1"),
        ((socket.AF_INET, "127.0.0.1"), "localhost"),
        ((socket.AF_INET6, "::1"), "[::1]"),
    ],
    indirect=["listening"],
)
def test_a_server_answers_by_name_and_number(listening: int, host: str) -> None:
    assert runtime._answers(f"{host}:{listening}")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "no-such-host.invalid", "a" * 70])
def test_nobody_answers_where_nobody_is(host: str) -> None:
    assert not runtime._answers(f"{host}:{free_ports(1)[0]}")


def test_a_session_sees_the_parameter_servers_and_itself() -> None:
    def filters(job: str, index: int) -> list[str]:
        cluster = Cluster(("p:1", "q:2"), ("c:3", "w:4"), job, index)
        return list(runtime.add_filters(tf.ConfigProto(), cluster).device_filters)

    assert filters("worker", 0) == ["/job:ps", "/job:worker/task:0"]
    assert filters("chief", 0) == ["/job:chief/task:0", "/job:ps"]
    assert filters("ps", 1) == ["/job:ps/task:1"]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_steps", type=int)
    parser.add_argument("--step_seconds", type=float, default=0)
    parser.add_argument("--sync", action="store_true")
    play(parser.parse_args())
