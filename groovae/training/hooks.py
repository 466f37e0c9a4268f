"""What happens around each step of the training loop, as session hooks.

Their order matters: `FeedHook` first, and `DivergenceHook` before whoever saves checkpoints, so
that no checkpoint holds what it refuses.
"""

import collections
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groovae.data.batches import Batch
from groovae.errors import GroovaeError
from groovae.training.graph import TrainingGraph, feed
from groovae.training.metrics_csv import FILE, MetricsLog
from groovae.upstream import tf

LOG_EVERY_STEPS = 100
MAX_SKIPPED_STEPS = 100
PACE_STEPS = 100


@dataclass(frozen=True)
class Progress:
    """A moment of a training.

    Attributes:
      step: The global step just done.
      num_steps: Where it will stop; 0 for never.
      epoch: How often all windows have been seen, such as 1.5.
      scalars: What TensorBoard shows of the step, by its names there.
      steps_per_second: The pace of the last `PACE_STEPS` steps, 0 at the first.
      windows_per_second: The same in windows.
      seconds_left: At this pace; infinite where it is not known.
      is_recorded: Whether metrics.csv got it: each 100th step, and the last of `num_steps`.
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
    """Feeds the batches, from the one on that belongs to the session's global step."""

    def __init__(self, graph: TrainingGraph, batches_from: Callable[[int], Iterator[Batch]]):
        self._graph, self._batches_from = graph, batches_from
        self._batches: Iterator[Batch] = iter(())

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._batches = self._batches_from(int(session.run(self._graph.global_step)))

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(None, feed(self._graph.inputs, next(self._batches)))


class DivergenceHook(tf.train.SessionRunHook):
    """Stops a training that has gone wrong, before its checkpoints have.

    A loss that is no number says that the model is spoilt. In the clip mode `global_norm`, a step
    with too large a gradient is left out by setting all gradients to 0; when that goes on, nothing
    is learned any more. In the mode `value` a gradient that is no number spoils the model at once.
    """

    def __init__(self, graph: TrainingGraph, hparams: Any):
        self._scalars = {name: graph.scalars[name] for name in ("loss", "global_norm")}
        self._clips_by_norm = hparams.clip_mode == "global_norm"
        self._max_norm = hparams.grad_norm_clip_to_zero
        self._skipped = 0

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs(self._scalars)

    def after_run(self, run_context: Any, run_values: Any) -> None:
        loss, norm = run_values.results["loss"], run_values.results["global_norm"]
        if not math.isfinite(loss):
            raise TrainingDiverged(f"the loss became {loss}")
        if not self._clips_by_norm:
            if not math.isfinite(norm):
                raise TrainingDiverged(f"the gradient became {norm}")
            return
        self._skipped = 0 if norm < self._max_norm else self._skipped + 1
        if self._skipped == MAX_SKIPPED_STEPS:
            raise TrainingDiverged(
                f"for {MAX_SKIPPED_STEPS} steps on end the gradient's norm, now {norm:.3g}, was "
                f"not below grad_norm_clip_to_zero={self._max_norm:g}, and such steps are left out"
            )


class TrainingDiverged(Exception):
    """The training cannot go on from its last step; the message says why."""


class LoggingHook(tf.train.SessionRunHook):
    """Tells of each step, and adds a row to metrics.csv and TensorBoard at each 100th."""

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
        self._train_dir, self._curve = train_dir, MetricsLog(train_dir / FILE)
        self._seen: collections.deque[tuple[int, float]] = collections.deque(maxlen=PACE_STEPS + 1)
        self._step = 0

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._step = int(session.run(self._graph.global_step))
        self._curve.cut(self._step)

    def before_run(self, run_context: Any) -> Any:
        return tf.train.SessionRunArgs([self._graph.train_op, self._graph.scalars])

    def after_run(self, run_context: Any, run_values: Any) -> None:
        step, scalars = run_values.results
        progress = self._progress(int(step), {name: float(x) for name, x in scalars.items()})
        if progress.is_recorded:
            self._record(progress)
        self._on_step(progress)

    def _progress(self, step: int, scalars: dict[str, float]) -> Progress:
        # The pace counts from the end of the first step, which sets up the graph.
        self._seen.append((step, time.monotonic()))
        (first, began), (_, now) = self._seen[0], self._seen[-1]
        # Other replicas do steps as well, so that a hundredth one may be theirs.
        is_due = step // LOG_EVERY_STEPS > self._step // LOG_EVERY_STEPS or (
            0 < self._num_steps <= step
        )
        self._step = step
        pace = (step - first) / (now - began) if step > first else 0.0
        return Progress(
            step,
            self._num_steps,
            step * self._windows_per_step / self._num_windows,
            scalars,
            pace,
            pace * self._windows_per_step,
            max(0, self._num_steps - step) / pace if pace and self._num_steps else math.inf,
            is_due,
        )

    def _record(self, progress: Progress) -> None:
        ours = {"epoch": progress.epoch, "windows_per_second": progress.windows_per_second}
        values = [tf.Summary.Value(tag=name, simple_value=value) for name, value in ours.items()]
        writer = tf.summary.FileWriterCache.get(str(self._train_dir))
        writer.add_summary(tf.Summary(value=values), progress.step)
        self._curve.append({"step": progress.step, **progress.scalars, **ours})


class CheckpointHook(tf.train.CheckpointSaverHook):
    """Saves checkpoints, and counts the seconds to the next one from the end of the last.

    TensorFlow counts from its beginning, so that with evaluations that take as long, each step
    would get a checkpoint.
    """

    def _save(self, session: Any, step: int) -> bool:
        should_stop = super()._save(session, step)
        self._timer.update_last_triggered_step(step)
        return bool(should_stop)


class Listener(tf.train.CheckpointSaverListener):
    """Calls back for each checkpoint: `saved(step)` says whether to stop."""

    def __init__(self, saved: Callable[[int], bool], ended: Callable[[int], None]):
        self._saved, self._ended = saved, ended

    def after_save(self, session: Any, global_step_value: Any) -> bool:
        return self._saved(int(global_step_value))

    def end(self, session: Any, global_step_value: Any) -> None:
        self._ended(int(global_step_value))


def explained(spoilt: TrainingDiverged, checkpoint: str | None) -> GroovaeError:
    """The error for a training that was stopped by `DivergenceHook`."""
    last = f"The last good checkpoint is {checkpoint}. " if checkpoint else ""
    return GroovaeError(
        f"{spoilt}. {last}Run again with a smaller --hparams=learning_rate=... to go on from "
        "there, or remove its files to go on from the one before"
    )
