"""Exports whose graphs take too much memory or time, of operators that are allowed."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groovae.config.config_file import CONFIG_FILE
from groovae.errors import GroovaeError
from groovae.generation.bundled import FOLDER
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES
from groovae.model.onnx_network import OnnxNetwork

onnx: Any = pytest.importorskip("onnx")
node, constant = onnx.helper.make_node, onnx.numpy_helper.from_array


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A copy of the bundled model."""
    return shutil.copytree(FOLDER, tmp_path / "export")


def add_to_decoder(export: Path, output: str, constants: dict[str, Any], *nodes: Any) -> None:
    """Add nodes to the decoder, of which `output` becomes one of the model's outputs."""
    model = onnx.load(export / "decoder.onnx")
    model.graph.initializer.extend(constant(value, name) for name, value in constants.items())
    model.graph.node.extend(nodes)
    floats = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info(output, floats, None))
    onnx.save(model, export / "decoder.onnx")
    config = json.loads((export / CONFIG_FILE).read_text())
    config["files"] = checksums_of(export, ONNX_FILES)
    (export / CONFIG_FILE).write_text(json.dumps(config))


def ones(name: str, shape: str) -> Any:
    return node("ConstantOfShape", [shape], [name], value=constant(np.ones(1, np.float32)))


def value_info(name: str, shape: list[int]) -> Any:
    return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def scan_of(size: int) -> Any:
    """Return a loop that takes milliseconds a step."""
    outputs = [value_info("next", [size, size]), value_info("y", [1])]
    body = onnx.helper.make_graph(
        [node("MatMul", ["state", "state"], ["next"]), node("Identity", ["x"], ["y"])],
        "body",
        [value_info("state", [size, size]), value_info("x", [1])],
        outputs,
    )
    return node("Scan", ["start", "steps"], ["end", "slow"], body=body, num_scan_inputs=1)


def test_graph_that_takes_too_much_memory_is_an_error(export: Path) -> None:
    add_to_decoder(
        export,
        "large",
        {"shape": np.array([1 << 15, 1 << 15], np.int64)},
        ones("square", "shape"),
        node("Concat", ["square", "square"], ["large"], axis=0),
    )
    network = OnnxNetwork(export)
    z, noise = np.zeros((1, network.z_size)), np.zeros((1, 16, 9))
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: .*memory") as error:
        network.decode(z, noise, noise[..., :0])
    assert "\n" not in str(error.value)


# Tests that run in the background ignore Ctrl-C, and so would their child processes.
IN_FOREGROUND = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from groovae.cli.main import main
sys.exit(main())
"""


def slow_to_run(export: Path) -> None:
    square, many = np.array([500, 500], np.int64), np.array([1 << 20, 1], np.int64)
    constants = {"square": square, "many": many}
    add_to_decoder(
        export, "slow", constants, ones("start", "square"), ones("steps", "many"), scan_of(500)
    )


def slow_to_load(export: Path) -> None:
    """Add products of constants, which onnxruntime computes when it loads a graph."""
    products = [node("MatMul", [f"m{i}", f"m{i}"], [f"m{i + 1}"]) for i in range(100)]
    shape = {"square": np.array([3000, 3000], np.int64)}
    add_to_decoder(export, "m100", shape, ones("m0", "square"), *products)


@pytest.mark.parametrize("make_slow", [slow_to_run, slow_to_load])
def test_ctrl_c_stops_a_slow_model(export: Path, make_slow: Callable[[Path], None]) -> None:
    make_slow(export)
    command = [sys.executable, "-c", IN_FOREGROUND, "sample", f"--checkpoint={export}"]
    with subprocess.Popen(command, cwd=export.parent, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert stderr.splitlines()[-1] == "groovae sample: stopped by Ctrl-C"
    assert "Traceback" not in stderr
    assert not list(export.parent.glob("*.mid"))
