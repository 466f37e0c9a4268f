"""Evaluate a checkpoint: the model's own losses on records, averaged over all windows.

The losses are those of Magenta's `music_vae_train.py --mode=eval`, by their TensorBoard names.
Where Magenta samples z from the posterior, here z = mu, so that the result is deterministic. The
encoder's input is reduced as in training; note dropout, in the one config that has it, uses a fixed
seed.

    loss                     losses/r_loss + losses/kl_beta * losses/kl_loss
    losses/r_loss            reconstruction loss of a window: nats and squared errors
    losses/kl_loss           KL cost: nats of the posterior in excess of the free bits
    losses/kl_bits           KL divergence of the posterior from the prior, in bits
    losses/kl_beta           weight of the KL cost at the checkpoint's step
    metrics/hits_loss        per step: cross entropy of the hits in nats, summed over the drums
    metrics/velocities_loss  per step: squared error of velocities in [0, 1], summed likewise
    metrics/offsets_loss     per step: squared error of offsets in [-1, 1] half steps, likewise

The reconstruction loss is the sum of the last three, times the steps of a window.

    groovae evaluate --examples_path=data_dir/music-validation.tfrecord
"""

import contextlib
import copy
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.data.batches import Batch, evaluation_batches
from groovae.data.source import DataSource
from groovae.data.window_cache import CachedWindows
from groovae.errors import GroovaeError
from groovae.model.checkpoints import check_fits, damaged, need_checkpoint, variable_shapes
from groovae.model.formats import step_of
from groovae.model.lstm import layerwise
from groovae.system.log import Log, no_log
from groovae.training.graph import evaluation_graph, feed
from groovae.upstream import tf

BATCH_SIZE = 128
LOSSES = (
    *("loss", "losses/r_loss", "losses/kl_loss", "losses/kl_bits", "losses/kl_beta"),
    *("metrics/hits_loss", "metrics/velocities_loss", "metrics/offsets_loss"),
)


@dataclass(frozen=True)
class Evaluation:
    """The mean losses of a checkpoint.

    Attributes:
      checkpoint: Its prefix.
      step: Its global step.
      config: Its key in `CONFIG_MAP`.
      windows: Number of windows evaluated.
      losses: The means of `LOSSES` by name.
      z: The latent that was decoded.
    """

    checkpoint: str
    step: int
    config: str
    windows: int
    losses: dict[str, float]
    z: str = "mu"

    def __str__(self) -> str:
        return (
            f"step {self.step:,}  evaluated: loss {self.losses['loss']:.2f}  "
            f"reconstruction {self.losses['losses/r_loss']:.2f}  "
            f"KL {self.losses['losses/kl_bits']:.1f} bits"
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Evaluator:
    """Evaluates checkpoints of one model on the same windows.

    Attributes:
      data: The report of these windows as a dict, which identifies them.
    """

    def __init__(self, config_name: str, config: Any, windows: CachedWindows):
        """Take a Config whose model was not built yet; graphs are built when first needed."""
        self._name, self._config, self._windows = config_name, layerwise(config), windows
        self._sessions: dict[int, _Session] = {}
        self.data = windows.report.as_dict()

    def evaluate(self, checkpoint: str) -> Evaluation:
        """Return the means of all losses over all windows.

        Raises:
          GroovaeError: the checkpoint is damaged, missing or another model's, or its losses are
            not finite.
        """
        sums: dict[str, float] = {}
        restored: set[int] = set()
        for batch in evaluation_batches(self._windows, BATCH_SIZE):
            size = len(batch.lengths)
            session = self._session(size)
            if size not in restored:
                session.restore(checkpoint, self._name)
                restored.add(size)
            for name, loss in session.losses(batch).items():
                sums[name] = sums.get(name, 0.0) + size * loss
        means = {name: sums[name] / len(self._windows) for name in LOSSES}
        if not math.isfinite(means["loss"]):
            raise GroovaeError(
                f"{checkpoint}: its loss is {means['loss']}, as its training diverged; use an "
                "older checkpoint"
            )
        return Evaluation(checkpoint, step_of(checkpoint), self._name, len(self._windows), means)

    def _session(self, batch_size: int) -> "_Session":
        """Return the session for a batch size, which is fixed in a graph; the last may differ."""
        if batch_size not in self._sessions:
            self._sessions[batch_size] = _Session(copy.deepcopy(self._config), batch_size)
        return self._sessions[batch_size]

    def close(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()


class _Session:
    """An evaluation graph and a session that runs it."""

    def __init__(self, config: Any, batch_size: int):
        config.hparams.batch_size = batch_size
        with tf.Graph().as_default() as graph:
            self._graph = evaluation_graph(config)
            self._variables = tf.global_variables()
            self._savers: dict[bool, Any] = {}
            self._session = tf.Session(graph=graph)

    def restore(self, checkpoint: str, config_name: str) -> None:
        """Load all variables; a global step that is not stored is taken from the file name."""
        step = self._graph.global_step
        has_step = step.op.name in variable_shapes(checkpoint)
        variables = [v for v in self._variables if has_step or v is not step]
        check_fits(checkpoint, variables, config_name)
        with self._session.graph.as_default():
            if has_step not in self._savers:
                self._savers[has_step] = tf.train.Saver(variables)
            try:
                self._savers[has_step].restore(self._session, checkpoint)
            except (tf.errors.OpError, ValueError) as error:
                raise damaged(checkpoint, error) from error
            if not has_step:
                step.load(step_of(checkpoint), self._session)

    def losses(self, batch: Batch) -> dict[str, float]:
        """Return the mean losses of a batch."""
        self._session.run(self._graph.reset)
        values = self._session.run(self._graph.losses, feed(self._graph.inputs, batch))
        return {name: float(value) for name, value in values.items()}

    def close(self) -> None:
        self._session.close()


def evaluate(
    checkpoint: str = ".train",
    data: DataSource | None = None,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    log: Log = no_log,
) -> Evaluation:
    """Evaluate one checkpoint.

    Args:
      checkpoint: A training folder, whose newest checkpoint is used, a prefix, or a `.tar`.
      data: The records to evaluate on.
      config: A key of `CONFIG_MAP`; needed only without a `config.json` beside the checkpoint.
      hparams: `name=value,...`; likewise.
      log: Called with each line of progress.

    Raises:
      GroovaeError: no checkpoint, or it is damaged or another model's; no windows.
      UsageError: unknown config or hparams, or they contradict `config.json`.
    """
    prefix = need_checkpoint(checkpoint)
    folder = Path(prefix).parent
    name, full_config = config_map.resolve_config(folder, config, hparams)
    windows = (data or DataSource()).load(config_map.layout(full_config), folder, log)
    with contextlib.closing(Evaluator(name, full_config, windows)) as evaluator:
        return evaluator.evaluate(prefix)
