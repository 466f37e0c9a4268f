"""The runtime of a cluster in one process: synchronous steps, hooks, addresses, timeouts."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from cluster_processes import TIMEOUT_SECONDS, free_ports

from groovae.errors import GroovaeError
from groovae.training.distributed import runtime
from groovae.training.distributed.replica import Replica
from groovae.training.distributed.sync_hooks import SyncHook
from groovae.training.distributed.tf_config import Cluster
from groovae.upstream import tf, tf_slim

BATCH_SIZE = 12
NUM_STEPS = 20


# Synchronous steps, with a server for each process of a cluster in a thread


class Regression:
    """A linear regression with one batch of 12 rows per step, shared by the replicas."""

    def __init__(self, sync_replicas: int):
        self.inputs = tf.placeholder(tf.float32, [None, 4])
        self.outputs = tf.placeholder(tf.float32, [None])
        weights = tf.get_variable("weights", [4], initializer=tf.zeros_initializer())
        bias = tf.get_variable("bias", [], initializer=tf.zeros_initializer())
        errors = tf.linalg.matvec(self.inputs, weights) + bias - self.outputs
        self.loss = tf.reduce_mean(tf.square(errors))
        self.global_step = tf.train.get_or_create_global_step()
        adam = tf.train.AdamOptimizer(0.05)
        self.optimizer = tf.train.SyncReplicasOptimizer(adam, sync_replicas)
        gradients = self.optimizer.compute_gradients(self.loss)
        self.train_op = self.optimizer.apply_gradients(gradients, self.global_step)


class FeedShare(tf.train.SessionRunHook):
    """Feeds a replica its rows of each step, and records the loss by step."""

    def __init__(self, model: Regression, replica: int = 0, replicas: int = 1):
        self._model, self._rows = model, slice(replica, None, replicas)
        self.losses: dict[int, float] = {}

    def before_run(self, run_context: Any) -> Any:
        rng = np.random.default_rng(int(run_context.session.run(self._model.global_step)))
        x = rng.normal(size=(BATCH_SIZE, 4))
        y = x @ [1.0, -2.0, 3.0, 0.5]
        feeds = {self._model.inputs: x[self._rows], self._model.outputs: y[self._rows]}
        return tf.train.SessionRunArgs(self._model.loss, feeds)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step = int(run_context.session.run(self._model.global_step))
        self.losses[step] = float(run_values.results)


def loop(model: Regression, hooks: list[Any], is_chief: bool = True, **where: Any) -> None:
    if is_chief:
        hooks = [*hooks, tf.train.StopAtStepHook(last_step=NUM_STEPS)]
    where |= {"logdir": None, "save_checkpoint_secs": None, "save_summaries_steps": None}
    tf_slim.training.train(model.train_op, hooks=hooks, is_chief=is_chief, **where)


def run_replica(cluster: Cluster) -> dict[int, float]:
    """Train as a replica of a cluster; return its loss by step."""
    with tf.Graph().as_default(), runtime.cluster_session(cluster, print) as target:
        with tf.device(runtime.device_setter(cluster)):
            model = Regression(len(cluster.replicas))
        share = FeedShare(model, cluster.replica, len(cluster.replicas))
        hooks = [*runtime.session_hooks(cluster, model.optimizer), share]
        config = runtime.add_device_filters(tf.ConfigProto(), cluster)
        if cluster.is_chief or runtime.wait_for_chief(cluster, target, print):
            loop(model, hooks, cluster.is_chief, master=target, config=config)
        if cluster.is_chief:
            runtime.end_training(cluster, target)
    return share.losses


def test_synchronous_steps_equal_those_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "LAST_STEP_SECONDS", 0)  # the servers live on in this process
    monkeypatch.setattr(runtime, "GIVE_UP_AFTER_SECONDS", 120)
    ps, *replicas = (f"127.0.0.1:{port}" for port in free_ports(4))
    tasks = [("ps", 0), ("chief", 0), ("worker", 0), ("worker", 1)]
    clusters = [Cluster((ps,), tuple(replicas), *task) for task in tasks]
    server = threading.Thread(target=runtime.serve, args=(clusters[0], print), daemon=True)
    server.start()
    with ThreadPoolExecutor(3) as pool:
        losses = list(pool.map(run_replica, clusters[1:]))
    server.join(TIMEOUT_SECONDS)
    assert not server.is_alive()
    with tf.Graph().as_default():
        model = Regression(1)
        alone = FeedShare(model)
        loop(model, [SyncHook(model.optimizer, True), alone])
    assert list(alone.losses) == list(range(1, NUM_STEPS + 1))
    for step, loss in alone.losses.items():
        mean = np.mean([replica[step] for replica in losses])
        assert mean == pytest.approx(loss, rel=1e-4), step


# TensorFlow's thread outlives its session, and ends with an error.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    ("make_hook", "expected"),
    [
        (lambda optimizer: optimizer.make_session_run_hook(True), (True, True)),
        (lambda optimizer: SyncHook(optimizer, True), (False, False)),
    ],
    ids=["tensorflow", "groovae"],
)
def test_sync_hook_after_an_error_of_the_chief(
    make_hook: Callable[[Any], Any], expected: tuple[bool, bool]
) -> None:
    """TensorFlow's hook closes the token queue for the next chief too, and leaves a thread."""

    def threads(name: str) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if name in thread.name]

    with tf.Graph().as_default():
        optimizer = Regression(sync_replicas=1).optimizer
        hook = make_hook(optimizer)
        hook.begin()
        is_closed = optimizer.get_chief_queue_runner().queue.is_closed()
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
            assert (bool(session.run(is_closed)), is_waited_for) == expected
    for thread in threads("sync_token_q"):
        thread.join(TIMEOUT_SECONDS)


# Addresses


def test_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(GroovaeError, match=f"{address}.*in use") as error:
            runtime.serve(Cluster((address,), ("127.0.0.1:1",), "ps", 0), print)
    assert "\n" not in str(error.value)


def test_missing_parameter_server_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "GIVE_UP_AFTER_SECONDS", 0.1)
    ps, chief = (f"127.0.0.1:{port}" for port in free_ports(2))
    cluster = Cluster((ps,), (chief,), "chief", 0)
    with (
        pytest.raises(GroovaeError, match=f"parameter server 0 at {ps}: start it"),
        runtime.cluster_session(cluster, print),
    ):
        pass


def test_missing_master_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "GIVE_UP_AFTER_SECONDS", 0.1)
    (port,) = free_ports(1)
    replica = Replica(0, master=f"grpc://127.0.0.1:{port}")
    words = f"the server at 127.0.0.1:{port}: start it.*--master"
    with pytest.raises(GroovaeError, match=words), replica.session_target(print):
        pass


@pytest.mark.parametrize(
    ("address", "host"),
    [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("::1", "[::1]")],
)
def test_server_is_reachable_by_name_and_number(address: str, host: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        server = socket.create_server((address, 0), family=family)
    except OSError as error:
        pytest.skip(f"no {address} here: {error}")
    with server:
        assert runtime.is_reachable(f"{host}:{server.getsockname()[1]}")


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "no-such-host.invalid", "a" * 70])
def test_address_without_a_server_is_not_reachable(host: str) -> None:
    assert not runtime.is_reachable(f"{host}:{free_ports(1)[0]}")


def test_device_filters_are_the_ps_and_this_process() -> None:
    def filters(job: str, index: int) -> list[str]:
        cluster = Cluster(("p:1", "q:2"), ("c:3", "w:4"), job, index)
        return list(runtime.add_device_filters(tf.ConfigProto(), cluster).device_filters)

    assert filters("worker", 0) == ["/job:ps", "/job:worker/task:0"]
    assert filters("chief", 0) == ["/job:chief/task:0", "/job:ps"]
    assert filters("ps", 1) == ["/job:ps/task:1"]
