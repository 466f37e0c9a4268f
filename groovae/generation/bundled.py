"""The model that comes with groovae, so that there is music before there is a training.

    groovae sample --temperature=0.5 --out=drum_4bar.mid

The folder is what `groovae export` wrote; its README.md is the model card: data, licence, training
and scores. It plays whole grooves, so it is for the tasks that have no model of their own.
"""

import os
import re
from pathlib import Path

from groovae.config.tasks import CONFIGS
from groovae.system.log import Log

FOLDER = Path(__file__).parents[1] / "bundled" / "groovae_4bar"
OWN = ".train"
OF_A_MODEL = re.compile(
    r"^checkpoint$|\.index$|\.data-\d+-of-\d+$|\.onnx$|^weights_manifest\.json$"
)

ABOUT = (
    f"no model in {OWN}: this plays the one that comes with groovae, trained on the Groove MIDI "
    "Dataset by Google LLC (CC BY 4.0). For your own: `groovae download --dest=groove`, `groovae "
    "preprocess groove data_dir/music.tfrecord`, `groovae train`"
)


def default_checkpoint(task: str | None, log: Log) -> str:
    """Where the model is that plays when none is named: one's own training wins.

    Args:
      task: What it shall do; see `tasks.check_task`.
      log: Gets the line that tells whose model it is, where it is not one's own.

    Returns:
      `.train`, or, where nothing is trained there and the task is one for whole grooves, FOLDER.
    """
    if task in CONFIGS or _holds_a_model(OWN):
        return OWN
    log(ABOUT)
    return str(FOLDER)


def _holds_a_model(folder: str) -> bool:
    """Whether anything of a model is there, be it damaged, which shows when it is read."""
    if not os.path.isdir(folder):
        return os.path.lexists(folder)  # a file, or a link to a drive that is not there
    closed: list[OSError] = []
    names = [name for _, _, files in os.walk(folder, onerror=closed.append) for name in files]
    return bool(closed) or any(map(OF_A_MODEL.search, names))
