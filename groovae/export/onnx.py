"""Export a trained model as ONNX, for onnxruntime and other runtimes.

    groovae export --format=onnx --out=drums.onnx

The folder holds the models described in `onnx_graphs`, and `config.json`: that of the training
folder, and all that a program without TensorFlow and Magenta needs. `layout` defines how a groove
is cut into windows (see `Layout`), `files` has the SHA-256 of each file, `loss` the measured error
of a dtype other than float32. A prior fitted to the checkpoint is copied (see `model.prior`).

A float32 model is always written first and compared with TensorFlow; if it differs, nothing is
kept. float16 and int8 apply to the weights without the biases, which are stored so and computed
with in float32: this saves space, not time.
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
from groovae.config.description import check_layout
from groovae.data.source import TRAINED_WINDOWS, DataSource
from groovae.errors import GroovaeError
from groovae.export import onnx_check
from groovae.export.formats import LICENCE, check_dtype
from groovae.export.onnx_graphs import ModelGraphs
from groovae.export.output_folder import check_output_folder, replace_export
from groovae.generation.networks import copy_feel, copy_prior
from groovae.model.checkpoints import model_tensors, need_checkpoint, training_step
from groovae.model.checksums import checksums_of
from groovae.model.feel import FEEL_FILE
from groovae.model.formats import ONNX_FILES
from groovae.model.onnx_network import OnnxNetwork, metadata_value
from groovae.model.prior import PRIOR_FILE
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.atomic_files import json_text
from groovae.system.log import Log, no_log
from groovae.system.regular_files import read_json

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
    """Write a checkpoint as a folder of ONNX models verified against TensorFlow, atomically.

    Args:
      checkpoint: A training folder, a checkpoint prefix or a `.tar`.
      out: The folder to write: new, empty, or an earlier export, which is replaced.
      config: A key of `CONFIG_MAP`, for a checkpoint without a `config.json`.
      hparams: Hyperparameters, for a checkpoint without a `config.json`.
      dtype: Storage type of the weights, one of `DTYPES["onnx"]`.
      log: Receives lines about the comparison and about what was written.
      examples_path: A TFRecord of windows to compare on; by default random windows and samples of
        the model.

    Raises:
      UsageError: If `dtype` is unknown, or config or hparams contradict those of the checkpoint.
      GroovaeError: If the checkpoint is missing, damaged or not supported, there are no records,
        `out` cannot be replaced or written, or the model differs from the checkpoint.
    """
    check_dtype("onnx", dtype)
    check_output_folder(out, is_replaceable)
    prefix = need_checkpoint(checkpoint)
    folder = Path(prefix).parent
    name, full_config = config_map.resolve_config(folder, config, hparams)
    _check_supported(prefix, full_config)
    description, tensors = build_config(prefix, name, full_config), model_tensors(prefix)
    saved = config_map.read_config(folder) or {}
    if saved.get("windows") and not saved.get("init_checkpoint"):
        description["windows"] = saved["windows"]  # to warn if it was hardly trained
    if examples_path is not None:
        windows = _read_windows(examples_path, full_config, folder, log)
    network = TensorFlowNetwork(prefix, name, full_config, BATCH_SIZE)
    if examples_path is None:
        windows = onnx_check.synthetic_windows(network)
    inputs = onnx_check.comparison_inputs(windows, network.layout)
    write_verified(out, description, tensors, network, inputs, dtype, log)


def write_verified(
    out: FilePath,
    description: dict[str, Any],
    tensors: dict[str, np.ndarray],
    network: TensorFlowNetwork,
    inputs: onnx_check.ComparisonInputs,
    dtype: str = "float32",
    log: Log = no_log,
) -> None:
    """Write weights as a folder of ONNX models if these compute the same as a checkpoint.

    float32 models are always written and compared; models of another `dtype` then replace them.

    Args:
      out: See `export`.
      description: From `build_config`.
      tensors: The weights, from `checkpoints.model_tensors`.
      network: The checkpoint to compare with.
      inputs: What to compare on.
      dtype: Storage type of the weights.
      log: See `export`.

    Raises:
      GroovaeError: If the models differ from the checkpoint, or `out` cannot be written.
    """
    with replace_export(out, is_replaceable) as folder:
        _write_models(folder, description, tensors, "float32")
        exported = OnnxNetwork(folder, BATCH_SIZE)
        difference = onnx_check.verify_outputs(network, exported, inputs)
        log(
            f"compared with TensorFlow on {len(inputs.windows)} windows: same hits, other values "
            f"within {difference:.1e}"
        )
        if dtype != "float32":
            _write_models(folder, description, tensors, dtype)
            exported = OnnxNetwork(folder, BATCH_SIZE)
            loss = onnx_check.measure_precision_loss(network, exported, inputs)
            _write_config(folder, description, dtype, loss=loss)
            log(f"weights in {dtype}: {onnx_check.format_precision_loss(loss)}")
        copy_prior(network, exported, log)
        copy_feel(network, exported, log)
        size = sum(file.stat().st_size for file in folder.iterdir())
    log(f"{size / 1e6:.1f} MB in {out}: {', '.join(ONNX_FILES)}, {CONFIG_FILE}")


def build_config(prefix: str, name: str, config: Any) -> dict[str, Any]:
    """Return `config.json` of a model without dtype and checksums, which depend on the files."""
    saved = config_map.read_config(Path(prefix).parent) or {}
    return {
        **config_map.config_json(name, config),
        **{key: saved[key] for key in TRAINED_WINDOWS if key in saved},
        "layout": json.loads(json.dumps(dataclasses.asdict(config_map.layout(config)))),
        "step": training_step(prefix),
        "groovae": __version__,
        "licence": LICENCE,
        "format": "onnx",
    }


def is_replaceable(folder: Path) -> bool:
    """Return whether a folder is an ONNX export and holds no other files."""
    try:
        description = read_json(folder / CONFIG_FILE)
        names = {file.name for file in folder.iterdir()}
        return description["format"] == "onnx" and names <= {
            *ONNX_FILES,
            CONFIG_FILE,
            PRIOR_FILE,
            FEEL_FILE,
        }
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _check_supported(prefix: str, config: Any) -> None:
    if config.hparams.residual_encoder or config.hparams.residual_decoder:
        raise GroovaeError(
            f"{prefix}: export to ONNX does not support residual_encoder and residual_decoder; "
            "train a model without them"
        )


def _read_windows(examples_path: str, config: Any, folder: Path, log: Log) -> np.ndarray:
    """Return up to NUM_WINDOWS windows, evenly spread over the records."""
    windows = DataSource(examples_path).load(config_map.layout(config), folder, log)
    spread = np.linspace(0, len(windows) - 1, onnx_check.NUM_WINDOWS)
    return windows.outputs(np.unique(spread.astype(int)))


def _write_models(
    folder: Path, description: dict[str, Any], tensors: dict[str, np.ndarray], dtype: str
) -> None:
    controls = check_layout(description["layout"]).control_depth
    metadata = {key: metadata_value(value) for key, value in description.items() if key != "format"}
    metadata["dtype"] = dtype
    for name, model in ModelGraphs(tensors, controls, dtype).models(metadata).items():
        (folder / name).write_bytes(model.SerializeToString())
    _write_config(folder, description, dtype)


def _write_config(folder: Path, description: dict[str, Any], dtype: str, **more: Any) -> None:
    config = {**description, "dtype": dtype, **more, "files": checksums_of(folder, ONNX_FILES)}
    (folder / CONFIG_FILE).write_text(json_text(config), "utf-8")
