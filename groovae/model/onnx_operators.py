"""Check an ONNX file before it is loaded: only the operators that `groovae export` uses.

A checksum shows that a file is the one that `config.json` describes, not that it is harmless: with
other operators, a graph can loop forever, where not even Ctrl-C stops onnxruntime, or read other
files. The file is read by `protobuf.py`, since inference does without the package onnx.
"""

import math

from groovae.model.protobuf import fields, message, text, varints

OPERATORS = {
    *("Add", "Cast", "Concat", "ConstantOfShape", "Gather", "Greater", "Identity", "IsInf", "LSTM"),
    *("MatMul", "Mul", "Reshape", "Scan", "Shape", "Sigmoid", "Softplus", "Split", "Tanh"),
    *("Transpose", "Where"),
}
MAX_NODES = 1000  # of a graph; the largest export has about 50

# Field numbers of onnx.proto3.
MODEL_GRAPH, MODEL_TRAINING, MODEL_FUNCTIONS = 7, 20, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_OPERATOR, NODE_ATTRIBUTE, NODE_DOMAIN = 4, 5, 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE = (22, 23)
TENSOR_DIMENSION, TENSOR_EXTERNAL, TENSOR_LOCATION = 1, 13, 14


def check_graph(data: bytes) -> None:
    """Check the operators and the size of the weights of an ONNX file.

    Raises:
      ValueError: it is not a graph that `groovae export` writes; the message gives the reason.
    """
    graphs = []
    for field, value in fields(memoryview(data)):
        if field in (MODEL_TRAINING, MODEL_FUNCTIONS):
            raise ValueError("it defines functions of its own")
        if field == MODEL_GRAPH:
            graphs.append(message(value))
    if not graphs:
        raise ValueError("it has no graph")
    for graph in graphs:
        _check_graph(graph, OPERATORS)


def _check_graph(data: memoryview, operators: set[str]) -> None:
    num_nodes = 0
    for field, value in fields(data):
        if field == GRAPH_NODE:
            num_nodes += 1
            _check_node(message(value), operators)
        elif field == GRAPH_INITIALIZER:
            _check_tensor(message(value))
        elif field == GRAPH_SPARSE:
            raise ValueError("it has sparse weights")
    if num_nodes > MAX_NODES:
        raise ValueError(f"it has {num_nodes:,} nodes, over {MAX_NODES:,}")


def _check_node(data: memoryview, operators: set[str]) -> None:
    found = list(fields(data))
    names = [text(value) for field, value in found if field == NODE_OPERATOR]
    if any(text(value) for field, value in found if field == NODE_DOMAIN):
        raise ValueError(f"{'.'.join(names)} is not a standard operator")
    if unknown := [name for name in names if name not in operators]:
        raise ValueError(f"the operator {unknown[0]:.40} is not one of an export")
    for field, value in found:
        if field == NODE_ATTRIBUTE:
            _check_attribute(message(value), is_scan=names == ["Scan"])


def _check_attribute(data: memoryview, is_scan: bool) -> None:
    for field, value in fields(data):
        if field in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
            _check_tensor(message(value))
        elif field == ATTRIBUTE_GRAPH and is_scan:
            _check_graph(message(value), OPERATORS - {"Scan"})  # loops in loops take too long
        elif field in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS, *ATTRIBUTE_SPARSE):
            raise ValueError("a node has an attribute that is not one of an export")


def _check_tensor(data: memoryview) -> None:
    """Check that a tensor has at most one element per byte, all of them in this file."""
    dimensions: list[int] = []
    for field, value in fields(data):
        if field == TENSOR_EXTERNAL or (field == TENSOR_LOCATION and value):
            raise ValueError("it has weights in another file")
        if field == TENSOR_DIMENSION:
            dimensions += [value] if isinstance(value, int) else varints(value)
    if math.prod(dimensions) > len(data):  # a negative dimension is a large varint
        raise ValueError("a weight has more elements than bytes")
