"""The bundled models, for generating grooves without training one first.

    groovae sample --temperature=0.5 --out=drum_4bar.mid
    groovae humanize loop.mid

`groovae export` wrote their folders; the README.md in each is the model card, with data, licence,
training and scores. Two are models of whole grooves, for all tasks that need no model of their own:
one has windows of two bars, keeps more of a groove, and plays those that begin and end with the
groove of a user. Each of the others is for one task.
"""

import os
import re
from pathlib import Path

from groovae.config.config_file import CONFIG_FILE
from groovae.config.description import check_converter
from groovae.config.tasks import CONFIGS, task_of
from groovae.errors import GroovaeError
from groovae.system.log import Log
from groovae.system.regular_files import read_json

_ALL = Path(__file__).parents[1] / "bundled"
FOLDER = _ALL / "groovae_4bar"
TASK_FOLDERS = {
    "humanize": _ALL / "groovae_2bar_humanize_hits",
    "tap2drum": _ALL / "groovae_2bar_tap_context",
    "add_hihat": _ALL / "groovae_2bar_add_closed_hh_context",
    "transfer": _ALL / "groovae_2bar_transfer_hits",
}
DETAILED_FOLDER = _ALL / "groovae_2bar"
DETAILED_TASKS = ("reconstruct", "interpolate")
TRAIN_DIR = ".train"
_MODEL_FILE = re.compile(
    r"^checkpoint$|\.index$|\.data-\d+-of-\d+$|\.onnx$|^weights_manifest\.json$"
)


def folder_of(task: str | None) -> Path:
    """Return the folder of the bundled model for a task, or by default that of whole grooves."""
    if task in DETAILED_TASKS:
        return DETAILED_FOLDER
    return TASK_FOLDERS.get(task or "", FOLDER)


def default_checkpoint(task: str | None, log: Log) -> str:
    """Return the checkpoint to load when none is given.

    Args:
      task: A task, see `tasks.check_task`.
      log: Called with a line if a bundled model is used.

    Returns:
      `.train` if it holds a model for the task, else a bundled model.
    """
    if task not in CONFIGS:
        if _has_model_files(TRAIN_DIR):
            return TRAIN_DIR
        log(f"no model in {TRAIN_DIR}: playing the bundled one")
        return str(folder_of(task))
    if _has_model_files(TRAIN_DIR) and _may_be_for(task):
        return TRAIN_DIR
    log(f"no model for {task} in {TRAIN_DIR}: playing the bundled one")
    return str(folder_of(task))


def find_bundled(name: str | os.PathLike[str]) -> str | None:
    """Return the folder of the bundled model of this name, unless a file has that name."""
    folder = _ALL / name
    is_name = folder.parent == _ALL and (folder / CONFIG_FILE).is_file()
    return str(folder) if is_name and not os.path.lexists(name) else None


def _may_be_for(task: str) -> bool:
    """Return whether the model in `.train` is for a task, or does not say what it is."""
    try:
        description = read_json(Path(TRAIN_DIR) / CONFIG_FILE)
        arguments, meter = description["data_converter"], description.get("meter", "4/4")
        return task_of(check_converter(arguments, meter)) == task
    except (OSError, ValueError, KeyError, TypeError, AttributeError, GroovaeError):
        return True  # loading it says what is wrong


def _has_model_files(folder: str) -> bool:
    """Return whether any file of a model is there; a damaged one is reported on loading."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)  # a file, or a link to an unmounted drive
    unreadable: list[OSError] = []
    names = [name for _, _, files in os.walk(folder, onerror=unreadable.append) for name in files]
    return bool(unreadable) or any(map(_MODEL_FILE.search, names))
