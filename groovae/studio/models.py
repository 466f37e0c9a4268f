"""The models of the studio, one for each task, loaded once.

There are the bundled models, and those that the user names, which replace them: a model of whole
grooves in WHOLE_GROOVE_TASKS, another in the task that it was trained for. To ask for a task that
has no model is an error that says how to get one.
"""

import contextlib
import functools
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groovae.config.tasks import CONFIGS, OF_WHOLE_GROOVES, how_to_get, task_of
from groovae.errors import GroovaeError, UsageError
from groovae.generation import bundled
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.studio.grooves import from_json
from groovae.studio.latent_map import MAP_FILE, read_map
from groovae.system.log import Log, no_log

WHOLE_GROOVE_TASKS = ("sample", "vary", "interpolate", *OF_WHOLE_GROOVES)
MAX_WAITING = 16  # requests for a model, of which one runs at a time
BATCH_SIZE = 16  # of segments
_BUNDLED = {task: bundled.folder_of(task) for task in (*WHOLE_GROOVE_TASKS, *CONFIGS)}


class Busy(GroovaeError):
    """Too many requests wait for a model."""


class Models:
    """The models by task.

    Attributes:
      names: The checkpoints that were given.
      styles: Those of the model that samples, the most frequent first.
      map: The map of its latent space, None if it has none.
    """

    def __init__(self, checkpoints: Sequence[str] = (), log: Log = no_log):
        """Load the models.

        Args:
          checkpoints: See the attribute `names`.
          log: Called with a line on what is odd about them.

        Raises:
          GroovaeError: a checkpoint cannot be loaded.
        """
        self.names = tuple(checkpoints)
        self._one, self._places = threading.Lock(), threading.BoundedSemaphore(MAX_WAITING)
        load = functools.partial(load_model, seed=0, batch_size=BATCH_SIZE, log=log)
        ours = {folder: load(str(folder)) for folder in dict.fromkeys(_BUNDLED.values())}
        self._models = {task: ours[folder] for task, folder in _BUNDLED.items()}
        for checkpoint in checkpoints:
            model = load(checkpoint)
            own_task = task_of(model.layout)
            tasks = (own_task,) if own_task else WHOLE_GROOVE_TASKS
            self._models.update(dict.fromkeys(tasks, model))
        prior = self._models["sample"].choose_prior()  # which is kept in the model
        self.styles = list(prior.shares()) if prior else []
        path = Path(self._models["sample"].checkpoint) / MAP_FILE
        self.map = read_map(path, prior.z_size, prior.model) if prior else None
        if self.map:
            self._models["map"] = self._models["sample"]

    @contextlib.contextmanager
    def use(self, task: str, seed: int, log: Log) -> Iterator[GrooveModel]:
        """Yield the model of a task, whose random draws start from `seed`.

        One request uses a model at a time, since its draws and its log are those of the request.

        Raises:
          Busy: MAX_WAITING requests wait already.
          UsageError: there is no model for the task.
        """
        if task not in self._models:
            raise UsageError(f"the studio has no model for `{task}`; {how_to_get(task)}")
        if not self._places.acquire(blocking=False):
            raise Busy(f"{MAX_WAITING} requests wait for a model; try again later")
        try:
            with self._one:
                model = self._models[task]
                model.seed, model.log = seed, log
                model.reset_random()
                yield model
        finally:
            self._places.release()

    def warm_up(self, pause_seconds: float = 0.0) -> None:
        """Load what a model loads at its first use, so that no action waits for it.

        Args:
          pause_seconds: Before each model, in which requests are answered first.
        """
        hits = [{"beat": beat, "pitch": 36, "velocity": 90} for beat in range(8)]
        groove = from_json({"bars": 2, "hits": hits})
        more: dict[str, Any] = {"infill": {"bars": (2, 2)}, "interpolate": {"end": groove}}
        for task in ("vary", "infill", "interpolate", "humanize", "tap2drum", "add_hihat"):
            time.sleep(pause_seconds)
            with contextlib.suppress(GroovaeError), self.use(task, 0, no_log) as model:
                getattr(model, task)(groove, **more.get(task, {}))

    def wait(self, seconds: float) -> bool:
        """Return whether no request uses a model, after at most so many seconds."""
        is_free = self._one.acquire(timeout=seconds)
        if is_free:
            self._one.release()
        return is_free

    def describe(self) -> dict[str, dict[str, Any]]:
        """Return name, config and licence of the model of each task."""
        return {task: _describe(model) for task, model in self._models.items()}


def _describe(model: GrooveModel) -> dict[str, Any]:
    folder = Path(model.checkpoint)
    is_bundled = folder in _BUNDLED.values()
    return {
        "model": folder.name if is_bundled else model.checkpoint,
        "config": model.config_name,
        "licence": _licence(folder),
        "bundled": is_bundled,
    }


def _licence(folder: Path) -> str:
    """Return the licence in the model card beside a model, "" without one."""
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()[:10]
    except (OSError, ValueError):
        return ""
    values = [
        line.removeprefix("license:").strip() for line in lines if line.startswith("license:")
    ]
    return values[0] if values else ""
