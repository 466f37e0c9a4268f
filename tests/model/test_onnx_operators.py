"""Only graphs of the operators of exports are loaded."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groovae.generation import bundled
from groovae.model.onnx_operators import check_graph

onnx: Any = pytest.importorskip("onnx")
FLOAT = onnx.TensorProto.FLOAT
X = onnx.helper.make_tensor_value_info("x", FLOAT, ["n", 4])
Y = onnx.helper.make_tensor_value_info("y", FLOAT, ["n", 4])


def graph_of(*nodes: Any, initializers: Any = (), name: str = "graph") -> Any:
    return onnx.helper.make_graph(list(nodes), name, [X], [Y], list(initializers))


def model_of(*nodes: Any, **more: Any) -> Any:
    return onnx.helper.make_model(graph_of(*nodes, **more))


def node(operator: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(operator, ["x"], ["y"], **attributes)


def scan(body: Any) -> Any:
    return node("Scan", body=body, num_scan_inputs=1)


def tensor(dims: list[int], **fields: Any) -> Any:
    return onnx.TensorProto(name="w", data_type=FLOAT, dims=dims, **fields)


def endless_loop() -> Any:
    condition = onnx.helper.make_node("Identity", ["go"], ["go_on"])
    body = onnx.helper.make_graph([condition], "body", [], [])
    return model_of(onnx.helper.make_node("Loop", ["", "go"], [], body=body))


def with_function() -> Any:
    model = model_of(node("Identity"))
    opset = [onnx.helper.make_opsetid("", 14)]
    model.functions.append(
        onnx.helper.make_function("own", "Identity", ["x"], ["y"], [node("Tanh")], opset)
    )
    return model


def with_sparse_weights() -> Any:
    model = model_of(node("Identity"))
    model.graph.sparse_initializer.add().dims.extend([1 << 40])
    return model


REFUSED = {
    "loop": (endless_loop(), "Loop"),
    "if": (model_of(node("If", then_branch=graph_of(node("Tanh")))), "If"),
    "foreign domain": (model_of(node("Tanh", domain="com.microsoft")), "Tanh"),
    "functions": (with_function(), "functions"),
    "graph of another operator": (model_of(node("Tanh", body=graph_of())), "attribute"),
    "several graphs": (model_of(node("Scan", body=[graph_of()])), "attribute"),
    "scan in a scan": (model_of(scan(graph_of(scan(graph_of())))), "Scan"),
    "loop in a scan": (model_of(scan(graph_of(node("Loop")))), "Loop"),
    "many nodes": (model_of(*[node("Tanh")] * 2000), "2,000 nodes"),
    "sparse weights": (with_sparse_weights(), "sparse"),
    "large weight": (model_of(initializers=[tensor([1 << 20, 1 << 20])]), "more elements"),
    "negative size": (model_of(initializers=[tensor([-1])]), "more elements"),
    "large constant": (
        model_of(node("ConstantOfShape", value=tensor([1 << 40], raw_data=b"1234"))),
        "more elements",
    ),
    "another file": (
        model_of(initializers=[tensor([1], data_location=onnx.TensorProto.EXTERNAL)]),
        "another file",
    ),
    "no graph": (onnx.ModelProto(ir_version=8), "no graph"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_graphs_are_refused(name: str) -> None:
    model, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        check_graph(model.SerializeToString())


def test_graphs_of_exports_are_accepted() -> None:
    files = list(Path(bundled.__file__).parents[1].glob("bundled/*/*.onnx"))
    assert files
    for file in files:
        check_graph(file.read_bytes())
    weight = onnx.numpy_helper.from_array(np.zeros((4, 4), np.int8), "w")
    check_graph(model_of(scan(graph_of(node("Tanh"))), initializers=[weight]).SerializeToString())


def test_damaged_files_are_refused_or_accepted_without_another_error() -> None:
    data = model_of(scan(graph_of(node("Tanh"))), initializers=[tensor([2])]).SerializeToString()
    draw, refused = random.Random(1), 0
    for _ in range(2000):
        damaged = bytearray(data[: draw.randrange(len(data) // 2, len(data) + 1)])
        for _ in range(draw.randint(1, 4)):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        try:
            check_graph(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 500
