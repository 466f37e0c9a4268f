"""Hooks for synchronous replicas, which use TensorFlow's SyncReplicasOptimizer.

Each replica adds its gradients to an accumulator and waits for a token. When those of all replicas
have arrived, the chief applies their mean and puts one token per replica into the token queue. Make
the hooks after the optimizer's `apply_gradients`:

    optimizer = tf.train.SyncReplicasOptimizer(optimizer, num_replicas)
    hooks.append(SyncHook(optimizer, is_chief))
"""

import contextlib
import signal
import socket
import threading
from typing import Any

from groovae.upstream import tf


class SyncHook(tf.train.SessionRunHook):
    """Replaces `SyncReplicasOptimizer.make_session_run_hook`, which has three defects.

    It puts each replica's first token into the queue twice, so that fast replicas count twice in
    the first steps. On any error of the chief it closes the token queue, which stays closed when
    the chief restarts. At the end TensorFlow waits two minutes for its thread.

    Args:
      optimizer: The SyncReplicasOptimizer.
      is_chief: Whether this replica applies the gradients.
      closes_queue: Whether the end of the chief closes the token queue and so ends the workers. In
        a `Cluster`, `runtime.end_training` does.
    """

    def __init__(self, optimizer: Any, is_chief: bool, closes_queue: bool = True):
        self._optimizer, self._is_chief = optimizer, is_chief
        self._closes_queue = closes_queue

    def begin(self) -> None:
        optimizer = self._optimizer
        self._initialize = optimizer.local_step_init_op
        if self._is_chief:
            self._initialize = optimizer.chief_init_op
            self._queue_runner = optimizer.get_chief_queue_runner()
            self._add_tokens = optimizer.get_init_tokens_op()
            with tf.device(self._queue_runner.queue.queue_ref.device):
                sessions = tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="groovae_sync")
            self._num_sessions, self._count_session = sessions.size(), sessions.enqueue(0)

    def after_create_session(self, session: Any, coord: Any) -> None:
        session.run(self._initialize)
        if not self._is_chief:
            return
        # After a restart, replicas may wait for tokens that the last session did not add. With
        # spare tokens, gradients arrive too late for their step and are dropped.
        if session.run(self._num_sessions):
            session.run(self._add_tokens)
        session.run(self._count_session)
        # A daemon thread, since the coordinator would wait for it; closing the session ends it.
        threading.Thread(target=self._apply_gradients, args=(session, coord), daemon=True).start()

    def end(self, session: Any) -> None:
        if self._is_chief and self._closes_queue:
            session.run(self._queue_runner.cancel_op)

    def _apply_gradients(self, session: Any, coord: Any) -> None:
        """Apply the mean gradients of each step when all have arrived, and add the next tokens."""
        (apply_and_add_tokens,) = self._queue_runner.enqueue_ops
        try:
            while not coord.should_stop():
                session.run(apply_and_add_tokens)
        except Exception as error:
            if not coord.should_stop():
                coord.request_stop(error)


class SignalHook(tf.train.SessionRunHook):
    """Lets a signal interrupt the chief while its step waits for a worker that is gone.

    Python runs signal handlers only between bytecodes of the main thread, which is blocked in
    TensorFlow. A second thread is woken by the signal as well and adds tokens, which ends the step.
    """

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer

    def begin(self) -> None:
        self._add_tokens = self._optimizer.get_init_tokens_op()

    def after_create_session(self, session: Any, coord: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # only the main thread receives signals
        receiver, self._sender = socket.socketpair()
        self._sender.setblocking(False)
        signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)
        args = (receiver, session)
        threading.Thread(target=self._wait_for_signals, args=args, daemon=True).start()

    def _wait_for_signals(self, receiver: socket.socket, session: Any) -> None:
        # The session may be closed when a signal arrives.
        with receiver, contextlib.suppress(tf.errors.OpError, RuntimeError):
            while receiver.recv(1):
                session.run(self._add_tokens)
