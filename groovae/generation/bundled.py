"""The bundled model, for generating grooves without training one first.

    groovae sample --temperature=0.5 --out=drum_4bar.mid

`groovae export` wrote its folder; the README.md in it is the model card, with data, licence,
training and scores. It is a model of whole grooves, used by default for the tasks that need no
model of their own.
"""

import os
import re
from pathlib import Path

from groovae.config.tasks import CONFIGS
from groovae.system.log import Log

FOLDER = Path(__file__).parents[1] / "bundled" / "groovae_4bar"
TRAIN_DIR = ".train"
_MODEL_FILE = re.compile(
    r"^checkpoint$|\.index$|\.data-\d+-of-\d+$|\.onnx$|^weights_manifest\.json$"
)

NOTICE = (
    f"no model in {TRAIN_DIR}: using the bundled model, trained on the Groove MIDI Dataset by "
    "Google LLC (CC BY 4.0). To train your own: `groovae download --dest=groove`, `groovae "
    "preprocess groove data_dir/music.tfrecord`, `groovae train`"
)


def default_checkpoint(task: str | None, log: Log) -> str:
    """Return the checkpoint to load when none is given.

    Args:
      task: A task, see `tasks.check_task`.
      log: Called with a line if the bundled model is used.

    Returns:
      `.train` if it holds a model or the task needs a model of its own, else FOLDER.
    """
    if task in CONFIGS or _has_model_files(TRAIN_DIR):
        return TRAIN_DIR
    log(NOTICE)
    return str(FOLDER)


def _has_model_files(folder: str) -> bool:
    """Return whether any file of a model is there; a damaged one is reported on loading."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)  # a file, or a link to an unmounted drive
    unreadable: list[OSError] = []
    names = [name for _, _, files in os.walk(folder, onerror=unreadable.append) for name in files]
    return bool(unreadable) or any(map(_MODEL_FILE.search, names))
