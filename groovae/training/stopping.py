"""Ctrl-C and SIGTERM end a training in good order: after the step that runs, with a checkpoint."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from groovae.system.log import Log
from groovae.upstream import tf


class Stop:
    """The signal that asked the training to stop, if any has, and whether a step has run."""

    by: signal.Signals | None = None
    has_begun = False


@contextlib.contextmanager
def stop_signals() -> Iterator[Stop]:
    """Turns the first SIGINT or SIGTERM into a wish to stop after the step that runs.

    A second one acts at once, and so does the first where no step runs yet: there is nothing to
    save, and a worker may wait for its chief for ever.
    """
    stop = Stop()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        restore()
        if not stop.has_begun:
            signal.raise_signal(number)
            return
        stop.by = signal.Signals(number)  # and no word: a line may be half-written just now

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, note)
    try:
        yield stop
    finally:
        restore()


class Stopping(tf.train.SessionRunHook):
    """Ends the loop once a signal has come, and says so."""

    def __init__(self, stop: Stop, log: Log):
        self._stop, self._log = stop, log

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._stop.has_begun = True
        if self._stop.by:
            self._log(f"stopping by {self._stop.by.name}; once more stops at once")
            run_context.request_stop()
