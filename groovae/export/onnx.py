"""A trained model as ONNX, which plays in many languages and on many machines.

    groovae export --format=onnx --out=drums.onnx

The folder holds the files that `graphs` tells of, and `config.json`: what a training folder's says,
and all that a program needs that has neither TensorFlow nor Magenta. `layout` is how a groove
becomes a window (see `grid.Layout`), `files` has the SHA-256 of each file, `loss` what a dtype
other than float32 costs, as it was measured.

A float32 model is written first in any case and compared with TensorFlow: what differs there is a
mistake, and nothing is kept. float16 and int8 are of the weights alone, biases excepted: they are
stored so, and computed with in float32, so that they save space and no time.
"""

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae import __version__
from groovae.config import config_map
from groovae.config.config_file import CONFIG_FILE
from groovae.data.source import DataSource
from groovae.errors import GroovaeError, UsageError
from groovae.export import DTYPES, LICENCE
from groovae.export.onnx_check import (
    NUM_WINDOWS,
    ComparisonInputs,
    check_same,
    hear,
    measure_loss,
    windows_of,
)
from groovae.export.onnx_graphs import Graphs
from groovae.export.output_folder import check_place, replacing_export
from groovae.model.checkpoints import model_tensors, need_checkpoint, training_step
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES
from groovae.model.onnx_network import OnnxNetwork, metadata_value
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.atomic_files import json_text
from groovae.system.log import Log, no_log

BATCH_SIZE = 32

FilePath = str | os.PathLike[str]


def export(
    checkpoint: FilePath,
    out: FilePath,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    dtype: str = "float32",
    log: Log = no_log,
    examples_path: str | None = None,
) -> None:
    """Writes a checkpoint as a folder of ONNX models that were compared with it: all, or nothing.

    Args:
      checkpoint: A training folder, a checkpoint's prefix or a `.tar`.
      out: The folder to write: a new one, an empty one, or an earlier export, which it replaces.
      config: A key of `CONFIG_MAP`, for a checkpoint without a `config.json`.
      hparams: Likewise.
      dtype: How weights are stored, one of `DTYPES["onnx"]`.
      log: Gets a line on how the models compare, and on what was written.
      examples_path: Records of windows to compare on; without them random ones and such as the
        model draws.

    Raises:
      UsageError: no such dtype, or config and hparams contradict the checkpoint's.
      GroovaeError: no checkpoint, a damaged one, or one that cannot be exported; no records; `out`
        is another thing's folder or cannot be written; the model differs from the checkpoint.
    """
    if dtype not in DTYPES["onnx"]:
        raise UsageError(f"ONNX has no dtype {dtype!r}; take one of {', '.join(DTYPES['onnx'])}")
    check_place(out, is_replaceable)
    prefix = need_checkpoint(checkpoint)
    name, full_config = config_map.resolve_config(Path(prefix).parent, config, hparams)
    _check_supported(prefix, full_config)
    about, tensors = describe(prefix, name, full_config), model_tensors(prefix)
    if examples_path is not None:
        windows = _some_windows(examples_path, full_config, Path(prefix).parent, log)
    network = TensorFlowNetwork(prefix, name, full_config, BATCH_SIZE)
    if examples_path is None:
        windows = windows_of(network)
    write(out, about, tensors, network, hear(windows, network.layout), dtype, log)


def write(
    out: FilePath,
    about: dict[str, Any],
    tensors: dict[str, np.ndarray],
    network: TensorFlowNetwork,
    heard: ComparisonInputs,
    dtype: str = "float32",
    log: Log = no_log,
) -> None:
    """Writes weights as a folder of ONNX models, unless they differ from a checkpoint's.

    Models of float32 are made and compared in any case; where `dtype` is another one, they are
    replaced by its models then.

    Args:
      out: As in `export`.
      about: From `describe`.
      tensors: The weights, as from `checkpoints.model_tensors`.
      network: The checkpoint.
      heard: What to compare them on.
      dtype: How to store them.
      log: See `export`.

    Raises:
      GroovaeError: as `export`.
    """
    with replacing_export(out, is_replaceable) as folder:
        _write_files(folder, about, tensors, "float32")
        worst = check_same(network, OnnxNetwork(folder, BATCH_SIZE), heard)
        log(
            f"compared with TensorFlow on {len(heard.windows)} windows: the same hits, all else "
            f"within {worst:.1e}"
        )
        if dtype != "float32":
            _write_files(folder, about, tensors, dtype)
            loss = measure_loss(network, OnnxNetwork(folder, BATCH_SIZE), heard)
            _write_config(folder, about, dtype, loss=dataclasses.asdict(loss))
            log(f"weights in {dtype}: {loss}")
        size = sum(file.stat().st_size for file in folder.iterdir())
    log(f"{size / 1e6:.1f} MB in {out}: {', '.join(ONNX_FILES)}, {CONFIG_FILE}")


def describe(prefix: str, name: str, config: Any) -> dict[str, Any]:
    """What `config.json` says of a model, whatever it is stored as."""
    return {
        **config_map.config_json(name, config),
        "layout": json.loads(json.dumps(dataclasses.asdict(config_map.layout(config)))),
        "step": training_step(prefix),
        "groovae": __version__,
        "licence": LICENCE,
        "format": "onnx",
    }


def is_replaceable(folder: Path) -> bool:
    """Whether nothing is lost with a folder: it holds what `export` wrote, and nothing else."""
    try:
        about = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
        names = {file.name for file in folder.iterdir()}
        return about["format"] == "onnx" and names <= {*ONNX_FILES, CONFIG_FILE}
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_supported(prefix: str, config: Any) -> None:
    if config.hparams.residual_encoder or config.hparams.residual_decoder:
        raise GroovaeError(
            f"{prefix}: models with residual_encoder or residual_decoder cannot be exported to "
            "ONNX; train one without"
        )


def _some_windows(examples_path: str, config: Any, folder: Path, log: Log) -> np.ndarray:
    """Windows from all over the records."""
    windows = DataSource(examples_path).load(config, folder, log)
    return windows.outputs(np.unique(np.linspace(0, len(windows) - 1, NUM_WINDOWS).astype(int)))


def _write_files(
    folder: Path, about: dict[str, Any], tensors: dict[str, np.ndarray], dtype: str
) -> None:
    controls = len(about["layout"]["pitch_classes"]) if about["layout"]["hits_as_controls"] else 0
    said = {key: value for key, value in about.items() if key != "format"} | {"dtype": dtype}
    metadata = {key: metadata_value(value) for key, value in said.items()}
    for name, model in Graphs(tensors, controls, dtype).models(metadata).items():
        (folder / name).write_bytes(model.SerializeToString())
    _write_config(folder, about, dtype)


def _write_config(folder: Path, about: dict[str, Any], dtype: str, **more: Any) -> None:
    description = {**about, "dtype": dtype, **more, "files": checksums_of(folder, ONNX_FILES)}
    (folder / CONFIG_FILE).write_text(json_text(description), "utf-8")
