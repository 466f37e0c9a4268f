"""How far a model has been trained, to warn before an untrained one plays."""

import os
from pathlib import Path
from typing import Any

from groovae.config.config_file import CONFIG_FILE
from groovae.errors import GroovaeError
from groovae.model.formats import is_onnx_export, step_of
from groovae.system.regular_files import read_json


def describe_immaturity(checkpoint: str) -> str | None:
    """Return a line about a model that has been trained for less than an epoch, else None.

    Args:
      checkpoint: The prefix of a checkpoint, or the folder of an export. Nothing is said of one
        that was initialized with trained weights, or whose config.json has no number of windows.
    """
    description = _read_description(checkpoint)
    step = description.get("step", step_of(checkpoint))
    if description.get("init_checkpoint") or "config" not in description:
        return None
    if step == 0:
        return f"{checkpoint}: this model is untrained (step 0); expect random grooves"
    try:
        epochs = step * description["hparams"]["batch_size"] / description["windows"]["windows"]
    except (KeyError, TypeError, ZeroDivisionError):
        return None
    if epochs >= 1:
        return None
    return (
        f"{checkpoint}: this model has seen {epochs:.0%} of its training windows (step {step:,}); "
        "expect poor grooves, or train it further"
    )


def describe_unfinished(train_dir: str, checkpoint: str) -> str | None:
    """Return a line about a training that has not reached its last step, else None.

    A training with validation may have been stopped early, and counts as finished.
    """
    num_steps, step = _read_description(checkpoint).get("num_steps") or 0, step_of(checkpoint)
    if step >= num_steps or os.path.isdir(Path(train_dir, "eval")):
        return None
    return (
        f"the training in {train_dir} ended at step {step:,} of {num_steps:,}; its model plays in "
        f"place of the bundled one, until {train_dir} is moved away"
    )


def _read_description(checkpoint: str) -> dict[str, Any]:
    """Return the config.json of a model, empty if it is missing or damaged."""
    path = Path(checkpoint).expanduser()
    try:
        return dict(read_json((path if is_onnx_export(path) else path.parent) / CONFIG_FILE))
    except (OSError, ValueError, TypeError, GroovaeError):
        return {}
