"""Run one process of a cluster: a parameter server (ps), the chief or a worker.

TensorFlow moves the tensors: each process has a tf.train.Server, the variables are on the ps, and
the session of a replica (chief or worker) sees only the ps and itself, so that no replica waits for
another to start. This module adds what TensorFlow lacks:

- A status queue on each ps. The chief adds an entry when it begins a session, as the variables are
  initialized then, and closes the queue when the training is over, which ends ps and workers.
- A watch on the ps. If one is lost, so are its weights: every process exits.

A ps calls `serve`. A replica builds its graph in a `cluster_session`, on the `device_setter`, and
trains with the `session_hooks`; a worker calls `wait_for_chief` before, the chief `end_training`
after.
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
PROBE_SECONDS = 3.0  # between two checks of a ps, and the timeout of one
LOST_AFTER_SECONDS = 30.0
GIVE_UP_AFTER_SECONDS = 30 * 60.0
LAST_STEP_SECONDS = 60.0

# A ps that restarts, or is not up yet.
_TRANSIENT_ERRORS = (tf.errors.UnavailableError, tf.errors.AbortedError)


def serve(cluster: Cluster, log: Log) -> None:
    """Serve the variables of this ps until the chief calls `end_training`.

    Then wait up to `LAST_STEP_SECONDS` for replicas that are still in their last step.

    Raises:
      GroovaeError: the port is in use.
    """
    server = _start_server(cluster)
    log(f"parameter server {cluster.index} is serving at {cluster.address}")
    with _exit_when_ps_lost(cluster, log), tf.Graph().as_default():
        is_over = _status_queue(cluster.index).is_closed()
        with _session(cluster, server.target) as session:
            while not session.run(is_over):
                time.sleep(POLL_SECONDS)
    log("the training is over")
    deadline = time.monotonic() + LAST_STEP_SECONDS
    while time.monotonic() < deadline and any(map(is_reachable, cluster.replicas)):
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def cluster_session(cluster: Cluster, log: Log) -> Iterator[str]:
    """Start the server of a replica, wait for every ps, and yield the server's session target.

    Inside the block the process exits with code 1 when a ps was unreachable for
    `LOST_AFTER_SECONDS`, as the main thread may block forever in a TensorFlow call to that ps. For
    the same reason Ctrl-C and SIGTERM end a worker, which has nothing to save, immediately.

    Raises:
      GroovaeError: the port is in use, or a ps is unreachable for `GIVE_UP_AFTER_SECONDS`.
    """
    server = _start_server(cluster)
    for index, address in enumerate(cluster.ps):
        _wait_until(partial(is_reachable, address), f"parameter server {index} at {address}", log)
    signals = contextlib.nullcontext() if cluster.is_chief else _default_signal_handlers()
    with _exit_when_ps_lost(cluster, log), signals:
        yield server.target


def wait_for_server(address: str, log: Log) -> None:
    """Wait for a server that was started elsewhere: a session would wait for it without a word.

    Raises:
      GroovaeError: it is unreachable for `GIVE_UP_AFTER_SECONDS`.
    """
    _wait_until(partial(is_reachable, address), f"the server at {address}", log)


def wait_for_chief(cluster: Cluster, target: str, log: Log) -> bool:
    """Wait until the chief has begun a session; return False if the training is over already.

    MonitoredTrainingSession waits too, but checks only each 30 seconds, and waits forever if the
    chief has nothing left to do.

    Raises:
      GroovaeError: the chief did not begin within `GIVE_UP_AFTER_SECONDS`.
    """
    with tf.Graph().as_default():
        queue = _status_queue(0)
        num_sessions, is_over = 0, False

        def has_begun() -> bool:
            nonlocal num_sessions, is_over
            # A new session each time: a ps that restarted does not know the old one.
            with contextlib.suppress(*_TRANSIENT_ERRORS), _session(cluster, target) as session:
                num_sessions, is_over = session.run((queue.size(), queue.is_closed()))
            return num_sessions > 0 or is_over

        _wait_until(has_begun, f"the chief at {cluster.replicas[0]}", log)
    return not is_over


def end_training(cluster: Cluster, target: str) -> None:
    """End every ps and worker; the chief calls it last.

    A chief that failed or is to be moved does not call it: the others then wait for its restart.
    """
    with tf.Graph().as_default():
        closed = [_status_queue(index).close() for index in range(len(cluster.ps))]
        # Synchronous workers may wait for a token of the next step.
        closed += [_token_queue(index).close() for index in range(len(cluster.ps))]
        with _session(cluster, target) as session:
            session.run(closed)


def device_setter(cluster: Cluster) -> Any:
    """Return a device function that puts variables on the ps in turn and all else on this replica.

    Use it with `tf.device`.
    """
    return tf.train.replica_device_setter(
        cluster=tf.train.ClusterSpec(cluster.jobs), worker_device=_device(cluster)
    )


def add_device_filters(config: Any, cluster: Cluster) -> Any:
    """Limit a session to the ps and this process; otherwise it waits for all other processes.

    Returns:
      `config`, a ConfigProto, which is changed in place.
    """
    ps = _device(cluster) if cluster.is_ps else "/job:ps"
    config.device_filters.extend(sorted({ps, _device(cluster)}))
    return config


def session_hooks(cluster: Cluster, optimizer: Any = None) -> list[Any]:
    """Return the session hooks that connect a replica to its cluster.

    Args:
      cluster: The cluster; this process is a replica.
      optimizer: The SyncReplicasOptimizer of synchronous replicas, after `apply_gradients`.
    """
    hooks: list[Any] = []
    if optimizer:
        hooks.append(SyncHook(optimizer, cluster.is_chief, closes_queue=False))
        if cluster.is_chief:
            hooks.append(SignalHook(optimizer))
    hooks.append(_ChiefBegunHook(cluster) if cluster.is_chief else _TrainingOverHook())
    return hooks


class _ChiefBegunHook(tf.train.SessionRunHook):
    """Adds an entry to each status queue when the chief has begun a session."""

    def __init__(self, cluster: Cluster):
        self._cluster = cluster

    def begin(self) -> None:
        self._add = [_status_queue(index).enqueue(0) for index in range(len(self._cluster.ps))]

    def after_create_session(self, session: Any, coord: Any) -> None:
        session.run(self._add)


class _TrainingOverHook(tf.train.SessionRunHook):
    """Ends a worker after the step in which the training was over."""

    def begin(self) -> None:
        self._is_over = _status_queue(0).is_closed()

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._is_over)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if run_values.results:
            run_context.request_stop()


def _status_queue(index: int) -> Any:
    """Return the status queue on a ps, shared by all processes."""
    with tf.device(f"/job:ps/task:{index}/cpu:0"):
        return tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="groovae_status")


def _token_queue(index: int) -> Any:
    """Return the queue on a ps under the name of SyncReplicasOptimizer's; one ps has the real one.

    It is on the ps of the global step.
    """
    with tf.device(f"/job:ps/task:{index}/cpu:0"):
        return tf.FIFOQueue(-1, tf.int64, shapes=(), shared_name="sync_token_q")


def _device(cluster: Cluster) -> str:
    return f"/job:{cluster.job}/task:{cluster.index}"


def _session(cluster: Cluster, target: str) -> Any:
    return tf.Session(target, config=add_device_filters(tf.ConfigProto(), cluster))


def _start_server(cluster: Cluster) -> Any:
    """Return a running tf.train.Server; check the port first, since TensorFlow's error is long."""
    port = int(cluster.address.rpartition(":")[2])
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
            probe.bind(("", port))
        return tf.train.Server(tf.train.ClusterSpec(cluster.jobs), cluster.job, cluster.index)
    except (OSError, tf.errors.OpError) as error:
        raise GroovaeError(
            f"cannot serve at {cluster.address}, the address of {cluster.job} {cluster.index} in "
            f"TF_CONFIG: port {port} is in use or not permitted ({first_line(error)}); stop the "
            "other process, or set another port in the TF_CONFIG of every process"
        ) from error


def is_reachable(address: str) -> bool:
    """Return whether a server accepts TCP connections at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PROBE_SECONDS) as connection:
            # The system may give the port, if free, to this very connection.
            return connection.getsockname() != connection.getpeername()
    except (OSError, UnicodeError):  # UnicodeError: not a valid host name
        return False


def _wait_until(is_there: Callable[[], bool], awaited: str, log: Log) -> None:
    """Poll `is_there`; log the wait after 5 seconds and then each 30."""
    started = time.monotonic()
    next_log = 5.0
    while not is_there():
        seconds = time.monotonic() - started
        if seconds > GIVE_UP_AFTER_SECONDS:
            raise GroovaeError(
                f"waited {GIVE_UP_AFTER_SECONDS / 60:.0f} minutes for {awaited}: start it, or "
                "correct its address in --master, or in the TF_CONFIG of every process"
            )
        if seconds > next_log:
            log(f"waiting for {awaited}")
            next_log = seconds + 30
        time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _default_signal_handlers() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the process even while Python waits for TensorFlow."""
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
def _exit_when_ps_lost(cluster: Cluster, log: Log) -> Iterator[None]:
    """Exit the process with code 1 if another ps is lost during the block."""
    others = {
        index: address for index, address in enumerate(cluster.ps) if address != cluster.address
    }
    stop = threading.Event()
    threading.Thread(target=_watch_ps, args=(others, log, stop), daemon=True).start()
    try:
        yield
    finally:
        stop.set()


def _watch_ps(servers: dict[int, str], log: Log, stop: threading.Event) -> None:
    last_reached = dict.fromkeys(servers, time.monotonic())
    while not stop.wait(PROBE_SECONDS):
        for index, address in servers.items():
            if is_reachable(address):
                last_reached[index] = time.monotonic()
            elif time.monotonic() - last_reached[index] > LOST_AFTER_SECONDS and not stop.is_set():
                log(
                    f"groovae: parameter server {index} at {address} is lost: unreachable for "
                    f"{LOST_AFTER_SECONDS:.0f} seconds; start all processes again, and the chief "
                    "resumes from the last checkpoint in its train_dir"
                )
                with contextlib.suppress(OSError):  # such as a full disk
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(1)
