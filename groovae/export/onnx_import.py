"""Rebuild the TensorFlow checkpoint of an ONNX export.

    import_export("groovae_4bar", "runs/mine")

The inverse of onnx_graphs.py: the variables have the names, shapes and values of the checkpoint
that was exported, bit for bit, and weights stored as float16 or int8 the float32 values that they
stand for. Exports of groovae 0.2 and earlier have 1 added to the biases of the forget gates; it is
subtracted, which gives the biases of the checkpoint but for bits that the addition lost.

The checkpoint is compared with the export before it is written. It has no state of the optimizer: a
training starts from it, by `--init_checkpoint`, but does not resume.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config import config_map
from groovae.data.source import TRAINED_WINDOWS
from groovae.errors import GroovaeError
from groovae.export import onnx_check
from groovae.generation.bundled import find_bundled
from groovae.generation.networks import copy_feel, copy_prior
from groovae.model.checksums import read_verified
from groovae.model.onnx_network import OnnxNetwork
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.atomic_files import atomic_directory
from groovae.system.log import Log, no_log
from groovae.system.packages import need_package
from groovae.upstream import tf

BATCH_SIZE = 32
KEPT = (*TRAINED_WINDOWS, "licence")  # of config.json, beside the config itself

FilePath = str | os.PathLike[str]
Tensors = dict[str, np.ndarray]


def import_export(export: FilePath, train_dir: FilePath, log: Log = no_log) -> None:
    """Write the checkpoint of an ONNX export, with its config.json and prior, as a folder.

    Args:
      export: The folder of the export, or the name of a bundled model.
      train_dir: The folder to write: new or empty.
      log: Receives lines about the comparison and about what was written.

    Raises:
      GroovaeError: If the export is missing or damaged, `train_dir` cannot be written, or the
        checkpoint computes something else than the export.
    """
    folder, out = Path(find_bundled(export) or export).expanduser(), Path(train_dir).expanduser()
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise GroovaeError(f"cannot write {train_dir}: it is not an empty folder; name a new one")
    exported = OnnxNetwork(folder, BATCH_SIZE)
    metadata, name = exported.metadata, exported.config_name
    _, config = config_map.resolve_config(folder, None, "")
    description = config_map.config_json(name, config)
    tensors = read_tensors(folder, metadata["files"])
    with atomic_directory(out) as temporary:
        kept = {key: metadata[key] for key in KEPT if key in metadata}
        config_map.save_config(temporary, description, **kept)
        prefix = _write_checkpoint(temporary, tensors, metadata["step"])
        network = TensorFlowNetwork(prefix, name, config, BATCH_SIZE)
        windows = onnx_check.synthetic_windows(network)
        inputs = onnx_check.comparison_inputs(windows, network.layout)
        difference = onnx_check.verify_outputs(network, exported, inputs)
        log(
            f"compared with the export on {len(windows)} windows: same hits, other values within "
            f"{difference:.1e}"
        )
        copy_prior(exported, network, log)
        copy_feel(exported, network, log)
    log(f"{name}, step {metadata['step']:,}, {len(tensors)} variables, in {train_dir}")


def read_tensors(folder: Path, checksums: dict[str, Any]) -> Tensors:
    """Return the variables of the checkpoint that was exported to a folder, float32 by name.

    Raises:
      GroovaeError: If a file is missing or damaged, or was not written by `groovae export`.
    """
    onnx: Any = need_package("onnx")
    weights: Tensors = {}
    for name in ("encoder.onnx", "decoder.onnx"):
        graph = onnx.load_model_from_string(read_verified(folder / name, checksums)).graph
        weights |= {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    try:
        return dict([*_dense_layers(weights), *_encoder_cells(weights), *_decoder_cells(weights)])
    except (KeyError, ValueError) as error:
        raise GroovaeError(
            f"{folder}: its graphs lack weights of a GrooVAE model ({error}); export it again with "
            "`groovae export`"
        ) from error


def _dense_layers(weights: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    names = ("encoder/mu", "encoder/sigma", "decoder/z_to_initial_state")
    for name in (*names, "decoder/output_projection"):
        yield f"{name}/kernel", _matrix(weights, f"{name}/kernel")
        yield f"{name}/bias", weights[f"{name}/bias"]


def _encoder_cells(weights: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    for layer in range(_count(weights, "encoder/cell_{}/bias")):
        cell = f"encoder/cell_{layer}"
        from_x, from_h = (_matrix(weights, f"{cell}/{part}") for part in ("inputs", "hidden"))
        for i, direction in enumerate(("fw", "bw")):
            name = f"{cell}/bidirectional_rnn/{direction}/multi_rnn_cell/cell_0/lstm_cell"
            kernels = [_from_onnx_gates(kernel[i]) for kernel in (from_x, from_h)]
            yield f"{name}/kernel", np.concatenate(kernels)
            bias, forget_bias = map(_from_onnx_gates, np.split(weights[f"{cell}/bias"][i], 2))
            yield f"{name}/bias", bias if forget_bias.any() else _subtract_forget_bias(bias)


def _decoder_cells(weights: Tensors) -> Iterator[tuple[str, np.ndarray]]:
    depth = weights["decoder/output_projection/bias"].size
    for layer in range(_count(weights, "decoder/cell_{}/bias")):
        cell, name = f"decoder/cell_{layer}", f"decoder/multi_rnn_cell/cell_{layer}/lstm_cell"
        kernel, bias = _matrix(weights, f"{cell}/kernel"), weights[f"{cell}/bias"]
        if layer == 0:  # without the rows of z, which follow those of the previous output
            z_rows = _matrix(weights, f"{cell}/z")
            kernel = np.concatenate([kernel[:depth], z_rows, kernel[depth:]])
        yield f"{name}/kernel", kernel
        is_plain = f"{cell}/forget_bias" in weights
        yield f"{name}/bias", bias if is_plain else _subtract_forget_bias(bias)


def _matrix(weights: Tensors, name: str) -> np.ndarray:
    """Return a matrix that `GraphBuilder.weight` stored, as float32."""
    if f"{name}/float16" in weights:
        return weights[f"{name}/float16"].astype(np.float32)
    if f"{name}/int8" in weights:
        return weights[f"{name}/int8"].astype(np.float32) * weights[f"{name}/scale"]
    return weights[name]


def _count(weights: Tensors, pattern: str) -> int:
    """Return the number of layers, of which there is at least one."""
    layers = 1
    while pattern.format(layers) in weights:
        layers += 1
    return layers


def _from_onnx_gates(gates: np.ndarray) -> np.ndarray:
    """Move gates i, o, f, j on the first axis, as ONNX's LSTM has, to i, j, f, o on the last."""
    i, o, f, j = np.split(gates.T, 4, axis=-1)
    return np.concatenate([i, j, f, o], axis=-1)


def _subtract_forget_bias(bias: np.ndarray) -> np.ndarray:
    i, j, f, o = np.split(bias, 4)
    return np.concatenate([i, j, f - 1, o])


def _write_checkpoint(folder: Path, tensors: Tensors, step: int) -> str:
    """Write variables as a checkpoint without a graph, and return its prefix."""
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable(name, initializer=value) for name, value in tensors.items()]
        variables.append(tf.get_variable("global_step", initializer=np.int64(step)))
        session.run(tf.global_variables_initializer())
        saver = tf.train.Saver(variables, save_relative_paths=True)
        return saver.save(session, str(folder / "model.ckpt"), step, write_meta_graph=False)
