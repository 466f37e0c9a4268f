"""Plays one part in a distributed training: parameter server (ps), chief or worker.

TensorFlow's own runtime moves the tensors: a tf.train.Server in each process, variables on the ps,
and a session of each replica that sees the ps and itself alone, so that no replica waits for
another. What TensorFlow leaves open is here. On each ps lies a queue, the board: it has an entry
for each session that the chief began, and it is closed when the training is over, which ends ps and
workers. Who finds that a ps is gone for good ends at once, as its weights are lost.

    with joined(cluster, say) as target:
        with tf.device(device_setter(cluster)):
            ...
        if cluster.is_chief or wait_for_chief(cluster, target, say):
            ... a MonitoredTrainingSession with hooks(cluster) on `target` ...
        if cluster.is_chief:
            finish(cluster, target)
"""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from groovae.errors import GroovaeError, first_line
from groovae.system.log import Log
from groovae.training.distributed.sync_hooks import SignalHook, SyncHook
from groovae.training.distributed.tf_config import Cluster
from groovae.upstream import tf

POLL_SECONDS = 0.5
PROBE_SECONDS = 3.0  # from one look at a ps to the next, and how long one may take
LOST_AFTER_SECONDS = 30.0
GIVE_UP_AFTER_SECONDS = 30 * 60.0
LINGER_SECONDS = 60.0


def serve(cluster: Cluster, log: Log) -> None:
    """Serves the variables of this ps until the chief has called `finish`.

    Then waits for replicas that are at their last step still, for `LINGER_SECONDS` at most.

    Raises:
      GroovaeError: the port is in use.
    """
    server = _server(cluster)
    log(f"parameter server {cluster.index} is at {cluster.address}, until the training is over")
    with _watching(cluster, log), tf.Graph().as_default():
        is_over = _status_queue(cluster.index).is_closed()
        with _session(cluster, server.target) as session:
            while not session.run(is_over):
                time.sleep(POLL_SECONDS)
    log("the training is over")
    deadline = time.monotonic() + LINGER_SECONDS
    while time.monotonic() < deadline and any(map(_answers, cluster.replicas)):
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def cluster_session(cluster: Cluster, log: Log) -> Iterator[str]:
    """Starts the server of a replica and yields its target, for sessions, once every ps answers.

    Meanwhile the ps are watched: when one has not answered for `LOST_AFTER_SECONDS`, says so and
    exits the process with code 1, whatever it is at. The main thread may be in a call to TensorFlow
    that waits for that ps for ever.

    Ctrl-C and SIGTERM end a worker at once: it has nothing to save, and may be in such a call, too.

    Raises:
      GroovaeError: the port is in use, or a ps does not answer within `GIVE_UP_AFTER_SECONDS`.
    """
    server = _server(cluster)
    for index, address in enumerate(cluster.ps):
        _wait(partial(_answers, address), f"parameter server {index} at {address}", log)
    with (
        _watching(cluster, log),
        contextlib.nullcontext() if cluster.is_chief else _default_signal_handlers(),
    ):
        yield server.target


def wait_for_chief(cluster: Cluster, target: str, log: Log) -> bool:
    """Waits until the chief has begun, and returns whether a worker is still needed.

    MonitoredTrainingSession waits as well, but looks each 30 seconds only, and for ever when the
    chief finds that there is nothing to do.

    Raises:
      GroovaeError: the chief has not begun within `GIVE_UP_AFTER_SECONDS`.
    """
    with tf.Graph().as_default():
        board = _status_queue(0)
        state = (board.size(), board.is_closed())
        seen = (0, False)

        def has_begun() -> bool:
            nonlocal seen
            # A ps that came back has lost the session, so that each look needs its own.
            with contextlib.suppress(*_PASSING), _session(cluster, target) as session:
                seen = session.run(state)
            return any(seen)

        _wait(has_begun, f"the chief at {cluster.replicas[0]}", log)
    return not seen[1]


def finish(cluster: Cluster, target: str) -> None:
    """Tells every ps and worker that the training is over; the chief's last act.

    A chief that does not call it, because it failed or is to be moved, is waited for.
    """
    with tf.Graph().as_default():
        closed = [_status_queue(index).close() for index in range(len(cluster.ps))]
        # Workers that step together may wait for the next step, on the ps of the global step.
        closed += [_tokens(index).close() for index in range(len(cluster.ps))]
        with _session(cluster, target) as session:
            session.run(closed)


def device_setter(cluster: Cluster) -> Any:
    """Puts variables on the ps in turn, and all else on this replica: for `tf.device`."""
    return tf.train.replica_device_setter(
        cluster=tf.train.ClusterSpec(cluster.jobs), worker_device=_device(cluster)
    )


def add_filters(config: Any, cluster: Cluster) -> Any:
    """Makes a session of the ConfigProto `config` see the ps and this process only; returns it.

    Otherwise it would begin only when every other process answers.
    """
    ps = _device(cluster) if cluster.is_ps else "/job:ps"
    config.device_filters.extend(sorted({ps, _device(cluster)}))
    return config


def hooks(cluster: Cluster, optimizer: Any = None) -> list[Any]:
    """The session hooks of a replica, beside those of its training.

    Args:
      cluster: The cluster, with a replica as its task.
      optimizer: The SyncReplicasOptimizer where replicas step together; its `apply_gradients` was
        called.
    """
    chosen = [SyncHook(optimizer, cluster.is_chief, closes=False)] if optimizer else []
    if optimizer and cluster.is_chief:
        chosen.append(SignalHook(optimizer))
    return [*chosen, _BeginHook(cluster) if cluster.is_chief else _OverHook()]


class _BeginHook(tf.train.SessionRunHook):
    """Tells each ps that the chief has begun a session, with the variables initialized."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster

    def begin(self) -> None:
        self._tell = [_status_queue(index).enqueue(0) for index in range(len(self._cluster.ps))]

    def after_create_session(self, session: Any, coord: Any) -> None:
        session.run(self._tell)


class _OverHook(tf.train.SessionRunHook):
    """Ends a worker after the step in which the training was over."""

    def begin(self) -> None:
        self._is_over = _status_queue(0).is_closed()

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._is_over)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if run_values.results:
            run_context.request_stop()


_PASSING = (tf.errors.UnavailableError, tf.errors.AbortedError)


def _status_queue(index: int) -> Any:
    """The queue on the ps `index` that all processes share."""
    with tf.device(f"/job:ps/task:{index}/cpu:0"):
        return tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="groovae_board")


def _tokens(index: int) -> Any:
    """SyncReplicasOptimizer's token queue, if it is on the ps `index`, or one without use."""
    with tf.device(f"/job:ps/task:{index}/cpu:0"):
        return tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name="sync_token_q")


def _device(cluster: Cluster) -> str:
    return f"/job:{cluster.job}/task:{cluster.index}"


def _session(cluster: Cluster, target: str) -> Any:
    return tf.Session(target, config=add_filters(tf.ConfigProto(), cluster))


def _server(cluster: Cluster) -> Any:
    """TensorFlow's server, unless the port is in use, which it would tell in pages."""
    port = int(cluster.address.rpartition(":")[2])
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(("", port))
        return tf.train.Server(tf.train.ClusterSpec(cluster.jobs), cluster.job, cluster.index)
    except (OSError, tf.errors.OpError) as error:
        raise GroovaeError(
            f"cannot serve at {cluster.address}, the address of {cluster.job} {cluster.index} in "
            f"TF_CONFIG: port {port} is in use or not allowed ({first_line(error)}). End what uses "
            "it, or name another port in the TF_CONFIG of every process"
        ) from error


def _answers(address: str) -> bool:
    """Whether a server takes connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS) as connection:
            # On one machine, a port that is free may by chance be given to this very connection.
            return connection.getsockname() != connection.getpeername()
    except (OSError, UnicodeError):  # the latter from a host that cannot be a name
        return False


def _wait(is_there: Callable[[], bool], what: str, log: Log) -> None:
    """Waits for `is_there`, and says so after 5 seconds and then each 30."""
    began = time.monotonic()
    say_at = 5.0
    while not is_there():
        seconds = time.monotonic() - began
        if seconds > GIVE_UP_AFTER_SECONDS:
            raise GroovaeError(
                f"waited {GIVE_UP_AFTER_SECONDS / 60:.0f} minutes for {what}: start it, or mend "
                "its address in the TF_CONFIG of every process"
            )
        if seconds > say_at:
            log(f"waiting for {what}")
            say_at = seconds + 30
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _default_signal_handlers() -> Iterator[None]:
    """Ctrl-C and SIGTERM end the process meanwhile, without waiting for Python to hear of them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _watching(cluster: Cluster, log: Log) -> Iterator[None]:
    """Ends the process meanwhile, when one of the (other) ps is lost."""
    others = {
        index: address for index, address in enumerate(cluster.ps) if address != cluster.address
    }
    stop = threading.Event()
    threading.Thread(target=_watch, args=(others, log, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _watch(servers: dict[int, str], log: Log, stop: threading.Event) -> None:
    answered = dict.fromkeys(servers, time.monotonic())
    while not stop.wait(PROBE_SECONDS):
        for index, address in servers.items():
            if _answers(address):
                answered[index] = time.monotonic()
            elif time.monotonic() - answered[index] > LOST_AFTER_SECONDS and not stop.is_set():
                log(
                    f"groovae: parameter server {index} at {address} is lost, it has not answered "
                    f"for {LOST_AFTER_SECONDS:.0f} seconds: start all processes again; the chief "
                    "goes on from the last checkpoint in its train_dir"
                )
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(1)
