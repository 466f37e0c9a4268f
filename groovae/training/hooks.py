"""Session hooks that run around each step of the training loop.

Order them so that `FeedHook` comes first and `DivergenceHook` before `CheckpointHook`: no
checkpoint is then saved after a step that diverged.
"""

import collections
import contextlib
import functools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groovae.data.batches import Batch
from groovae.system.log import Log
from groovae.training.graph import TrainingGraph, feed
from groovae.training.metrics_csv import FILE, MetricsLog
from groovae.upstream import tf

LOG_EVERY_STEPS = 100
MAX_SKIPPED_STEPS = 100
SPEED_OVER_STEPS = 100


@dataclass(frozen=True)
class Progress:
    """The state of a training after a step.

    Attributes:
      step: Global step, counted from 1.
      num_steps: Step at which the training stops; 0 if it has no limit.
      epoch: Passes over all windows so far, such as 1.5.
      scalars: Scalars of the step by their TensorBoard names.
      steps_per_second: Mean over the last `SPEED_OVER_STEPS` steps; 0 at the first step.
      windows_per_second: The same in windows.
      seconds_left: Estimated from `steps_per_second`; infinite if unknown.
      is_recorded: Whether the step is in metrics.csv: each 100th step, and the last one.
    """

    step: int
    num_steps: int
    epoch: float
    scalars: dict[str, float]
    steps_per_second: float
    windows_per_second: float
    seconds_left: float
    is_recorded: bool

    @property
    def loss(self) -> float:
        return self.scalars["loss"]


class FeedHook(tf.train.SessionRunHook):
    """Feed the batches, starting with the one that belongs to the session's global step."""

    def __init__(self, graph: TrainingGraph, batches_from: Callable[[int], Iterator[Batch]]):
        self._graph, self._batches_from = graph, batches_from
        self._batches: Iterator[Batch] = iter(())

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._batches = self._batches_from(int(session.run(self._graph.global_step)))

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(None, feed(self._graph.inputs, next(self._batches)))


class TrainingDiverged(Exception):
    """Training cannot continue after this step; the message gives the reason."""


class DivergenceHook(tf.train.SessionRunHook):
    """Raise TrainingDiverged when the loss or the gradients make further steps useless.

    That is when the loss is not finite; with clip_mode=value, when the gradient norm is not finite;
    with clip_mode=global_norm, when `MAX_SKIPPED_STEPS` steps in a row were skipped because the
    gradient norm reached `grad_norm_clip_to_zero` (see `graph.clip_gradients`).
    """

    def __init__(self, graph: TrainingGraph, hparams: Any):
        self._scalars = {name: graph.scalars[name] for name in ("loss", "global_norm")}
        self._clips_by_norm = hparams.clip_mode == "global_norm"
        self._max_norm = hparams.grad_norm_clip_to_zero
        self._skipped_steps = 0

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._scalars)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        loss, norm = run_values.results["loss"], run_values.results["global_norm"]
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the loss became {loss}")
        if not self._clips_by_norm:
            if not math.isfinite(norm):
                raise TrainingDiverged(f"the gradient norm became {norm}")
            return
        self._skipped_steps = 0 if norm < self._max_norm else self._skipped_steps + 1
        if self._skipped_steps == MAX_SKIPPED_STEPS:
            raise TrainingDiverged(
                f"the last {MAX_SKIPPED_STEPS} steps were skipped: their gradient norms, now "
                f"{norm:.3g}, reached grad_norm_clip_to_zero={self._max_norm:g}"
            )


class LoggingHook(tf.train.SessionRunHook):
    """Report the progress of each step; write each 100th to metrics.csv and TensorBoard."""

    def __init__(
        self,
        graph: TrainingGraph,
        train_dir: Path,
        num_steps: int,
        windows_per_step: int,
        num_windows: int,
        on_step: Callable[[Progress], None],
    ):
        self._graph, self._on_step = graph, on_step
        self._num_steps, self._num_windows = num_steps, num_windows
        self._windows_per_step = windows_per_step
        self._train_dir, self._metrics = train_dir, MetricsLog(train_dir / FILE)
        self._recent_steps: collections.deque[tuple[int, float]] = collections.deque(
            maxlen=SPEED_OVER_STEPS + 1
        )
        self._step = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._step = int(session.run(self._graph.global_step))
        self._metrics.truncate(self._step)

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs([self._graph.train_op, self._graph.scalars])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, scalars = run_values.results
        progress = self._progress(int(step), {name: float(x) for name, x in scalars.items()})
        if progress.is_recorded:
            self._record(progress)
        self._on_step(progress)

    def _progress(self, step: int, scalars: dict[str, float]) -> Progress:
        # Time is counted from the end of the first step, which sets up the graph.
        self._recent_steps.append((step, time.monotonic()))
        (first_step, started), (_, now) = self._recent_steps[0], self._recent_steps[-1]
        # Compare hundreds, as the exact multiple of 100 may be a step of another replica.
        is_hundredth = step // LOG_EVERY_STEPS > self._step // LOG_EVERY_STEPS
        self._step = step
        steps_per_second = (step - first_step) / (now - started) if step > first_step else 0.0
        seconds_left = math.inf
        if steps_per_second and self._num_steps:
            seconds_left = max(0, self._num_steps - step) / steps_per_second
        return Progress(
            step,
            self._num_steps,
            step * self._windows_per_step / self._num_windows,
            scalars,
            steps_per_second,
            steps_per_second * self._windows_per_step,
            seconds_left,
            is_recorded=is_hundredth or 0 < self._num_steps <= step,
        )

    def _record(self, progress: Progress) -> None:
        rates = {"epoch": progress.epoch, "windows_per_second": progress.windows_per_second}
        writer = tf.summary.FileWriterCache.get(str(self._train_dir))
        writer.add_summary(scalar_summary(rates), progress.step)
        self._metrics.append({"step": progress.step, **progress.scalars, **rates})


def scalar_summary(scalars: dict[str, float]) -> Any:
    """Return a TensorBoard summary of scalars by name."""
    values = [tf.Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
    return tf.Summary(value=values)


class CheckpointHook(tf.train.CheckpointSaverHook):
    """Save checkpoints, counting the seconds to the next one from the end of the last save.

    TensorFlow counts from the start of a save, evaluation included: if that takes as long as the
    interval, it would save at each step.
    """

    def after_create_session(self, session: Any, coord: Any) -> None:
        """Describe the graph once, since it is final; TensorFlow does so for each checkpoint."""
        graph = tf.get_default_graph()
        graph.as_graph_def = functools.cache(graph.as_graph_def)
        super().after_create_session(session, coord)

    def _save(self, session: Any, step: int) -> bool:
        should_stop = super()._save(session, step)
        self._timer.update_last_triggered_step(step)
        return bool(should_stop)


class StopRequest:
    """A request to stop a training, made by a signal.

    Attributes:
      received: The signal, or None.
      has_begun: Whether a step has run, so that there is something to save.
    """

    received: signal.Signals | None = None
    has_begun = False


@contextlib.contextmanager
def stop_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request to stop after the current step.

    A second signal has its usual effect at once, and so has the first one before the first step.
    Does nothing outside of the main thread, which alone may handle signals.
    """
    request = StopRequest()
    previous: dict[signal.Signals, Any] = {}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def on_signal(number: int, frame: Any) -> None:
        restore()
        if request.has_begun:
            request.received = signal.Signals(number)  # StopHook logs it
        else:
            signal.raise_signal(number)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            previous[number] = signal.signal(number, on_signal)
    try:
        yield request
    finally:
        restore()


class StopHook(tf.train.SessionRunHook):
    """End the training loop after a stop request."""

    def __init__(self, request: StopRequest, log: Log):
        self._request, self._log = request, log

    def after_run(self, run_context: Any, run_values: Any) -> None:
        if self._request.received:
            name = self._request.received.name
            self._log(f"stopping on {name}; press again to stop immediately")
            run_context.request_stop()
