"""Which format a path holds: a checkpoint, an ONNX export or a magenta.js export."""

import json
import os
import re
from pathlib import Path

from groovae.config.config_file import CONFIG_FILE

FILES = ("encoder.onnx", "decoder.onnx", "decoder_start.onnx", "decoder_step.onnx")


def is_export(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds ONNX models; whether they are whole shows when they are read."""
    return any(os.path.isfile(Path(folder, name).expanduser()) for name in FILES)


def is_web_export(folder: Path) -> bool:
    """Whether a folder is one that `export` wrote, by its `config.json`."""
    try:
        config = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        return config["type"] == "MusicVAE" and isinstance(config["groovae"]["config"], str)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def step_of(checkpoint: str) -> int:
    """The global step in a checkpoint's name, 0 where it has none."""
    match = re.search(r"-(\d+)$", checkpoint)
    return int(match.group(1)) if match else 0
