"""Recognise the format of a path: a checkpoint, an ONNX export or a magenta.js export."""

import os
import re
from pathlib import Path

from groovae.config.config_file import CONFIG_FILE
from groovae.system.regular_files import read_json

ONNX_FILES = ("encoder.onnx", "decoder.onnx", "decoder_start.onnx", "decoder_step.onnx")


def is_onnx_export(folder: str | os.PathLike[str]) -> bool:
    """Return whether a folder has a file of an ONNX export, complete or not."""
    return any(os.path.isfile(Path(folder, name).expanduser()) for name in ONNX_FILES)


def is_web_export(folder: Path) -> bool:
    """Return whether the `config.json` of a folder is that of a magenta.js export."""
    try:
        config = read_json(folder / CONFIG_FILE)
        return config["type"] == "MusicVAE" and isinstance(config["groovae"]["config"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def step_of(checkpoint: str) -> int:
    """Return the training step in a checkpoint's name, or 0 if it has none."""
    match = re.search(r"-(\d+)$", checkpoint)
    return int(match.group(1)) if match else 0
