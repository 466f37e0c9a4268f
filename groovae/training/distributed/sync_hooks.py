"""Steps that all replicas do together, with TensorFlow's SyncReplicasOptimizer.

Each replica hands in its gradients and waits for a token. The chief applies their mean when all
have come, and hands out as many tokens. These hooks see to that; `apply_gradients` of the optimizer
must have been called.

    optimizer = tf.train.SyncReplicasOptimizer(optimizer, replicas)
    hooks.append(SyncHook(optimizer, is_chief))
"""

import contextlib
import signal
import socket
import threading
from typing import Any

from groovae.upstream import tf


class SyncHook(tf.train.SessionRunHook):
    """In place of `SyncReplicasOptimizer.make_session_run_hook`, which has three faults.

    It gives out a second ration of tokens at the start, so that fast replicas count twice in the
    first steps; on any error of the chief it closes the token queue, which then stays closed for
    the next chief; and at the end TensorFlow waits two minutes for its thread.

    Args:
      optimizer: The SyncReplicasOptimizer.
      is_chief: Whether this replica applies the gradients that all have handed in.
      closes: Whether the end of the chief closes the token queue, which ends the workers. With a
        `Cluster`, that is for `finish` to do.
    """

    def __init__(self, optimizer: Any, is_chief: bool, closes: bool = True):
        self._optimizer, self._is_chief, self._closes = optimizer, is_chief, closes

    def begin(self) -> None:
        optimizer = self._optimizer
        self._initialize = optimizer.local_step_init_op
        if self._is_chief:
            self._initialize = optimizer.chief_init_op
            self._queue_runner = optimizer.get_chief_queue_runner()
            self._ration = optimizer.get_init_tokens_op()
            with tf.device(self._queue_runner.queue.queue_ref.device):
                sessions = tf.FIFOQueue(-1, tf.int32, shapes=(), shared_name="groovae_sync")
            self._count, self._count_this = sessions.size(), sessions.enqueue(0)

    def after_create_session(self, session: Any, coord: Any) -> None:
        session.run(self._initialize)
        if not self._is_chief:
            return
        # Replicas of an earlier session may wait for tokens that it did not get to hand out. What
        # is too much goes with gradients that come too late for their step.
        if session.run(self._count):
            session.run(self._ration)
        session.run(self._count_this)
        # Not through the coordinator, which would wait for it: closing the session ends it.
        threading.Thread(target=self._apply, args=(session, coord), daemon=True).start()

    def end(self, session: Any) -> None:
        if self._is_chief and self._closes:
            session.run(self._queue_runner.cancel_op)

    def _apply(self, session: Any, coord: Any) -> None:
        """Applies the gradients of each step when all have come, and hands out the next tokens."""
        (apply_and_go_on,) = self._queue_runner.enqueue_ops
        try:
            while not coord.should_stop():
                session.run(apply_and_go_on)
        except Exception as error:
            if not coord.should_stop():
                coord.request_stop(error)


class SignalHook(tf.train.SessionRunHook):
    """Lets the chief hear Ctrl-C and SIGTERM while its step waits for a worker that is gone.

    Python calls a handler between two lines of the main thread, which is inside of TensorFlow then.
    A second thread learns of the signal as well, and hands out tokens, which ends the step.
    """

    def __init__(self, optimizer: Any):
        self._optimizer = optimizer

    def begin(self) -> None:
        self._ration = self._optimizer.get_init_tokens_op()

    def after_create_session(self, session: Any, coord: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # which alone gets signals
        signals, self._python = socket.socketpair()
        self._python.setblocking(False)
        signal.set_wakeup_fd(self._python.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=self._listen, args=(signals, session), daemon=True).start()

    def _listen(self, signals: socket.socket, session: Any) -> None:
        # The session may be closed by then.
        with signals, contextlib.suppress(tf.errors.OpError, RuntimeError):
            while signals.recv(1):
                session.run(self._ration)
