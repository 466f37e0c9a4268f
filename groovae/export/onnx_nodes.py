"""Build ONNX graphs node by node, with weights in a storage type of choice."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groovae import __version__
from groovae.errors import GroovaeError, first_line
from groovae.system.packages import need_package

onnx: Any = need_package("onnx")

OPSET, IR_VERSION = 14, 8  # supported by runtimes since 2021
FLOAT = onnx.TensorProto.FLOAT

Tensors = dict[str, np.ndarray]
Shape = Sequence[int | str]
Shapes = Mapping[str, Shape]
Layer = tuple[str, str]  # the names of the kernel and of the bias


class GraphBuilder:
    """A graph under construction. Values are referred to by name.

    Attributes:
      nodes: The nodes added so far.
      initializers: The weights, as they are stored.
    """

    def __init__(self, dtype: str = "float32", outer: "GraphBuilder | None" = None):
        """Start an empty graph with weights of a dtype, or the body of a loop in `outer`."""
        self._dtype = dtype
        self._numbers: Any = outer._numbers if outer else itertools.count()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return the output."""
        return self.node_outputs(op, inputs, 1, **attributes)[0]

    def node_outputs(
        self, op: str, inputs: Sequence[str], count: int, **attributes: Any
    ) -> list[str]:
        """Add a node and return its `count` outputs."""
        number = next(self._numbers)
        names = [f"{op}_{number}_{i}" for i in range(count)]
        self.nodes.append(onnx.helper.make_node(op, list(inputs), names, **attributes))
        return names

    def set_output(self, name: str, value: str) -> None:
        """Make a value the graph output `name`."""
        self.nodes.append(onnx.helper.make_node("Identity", [value], [name]))

    def constant(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name: str, array: np.ndarray, input_axis: int = 0) -> str:
        """Add a matrix, stored in the dtype of the graph, and return it as float32.

        int8 has one scale per output, that is for each index of all axes but `input_axis`. Runtimes
        convert the matrix once, when they load the file.

        Raises:
          GroovaeError: If a value is too large for float16.
        """
        if self._dtype == "float32":
            return self.constant(name, array)
        if self._dtype == "float16":
            if np.abs(array).max() > np.finfo(np.float16).max:
                raise GroovaeError(
                    f"{name} has values beyond 65,504, the largest in float16; use another --dtype"
                )
            stored = self.constant(f"{name}/float16", array.astype(np.float16))
            return self.node("Cast", stored, to=FLOAT)
        scale = np.abs(array).max(axis=input_axis, keepdims=True) / np.float32(127)
        scale[scale == 0] = 1
        stored = self.constant(f"{name}/int8", np.rint(array / scale).astype(np.int8))
        as_float = self.node("Cast", stored, to=FLOAT)
        return self.node("Mul", as_float, self.constant(f"{name}/scale", scale))

    def dense(self, x: str, tensors: Tensors, name: str) -> str:
        """Add a dense layer of a checkpoint, by its variable scope, without activation."""
        kernel, bias = self.dense_parameters(tensors, name)
        return self.node("Add", self.node("MatMul", x, kernel), bias)

    def dense_parameters(self, tensors: Tensors, name: str) -> Layer:
        kernel = self.weight(f"{name}/kernel", tensors[f"{name}/kernel"])
        return kernel, self.constant(f"{name}/bias", tensors[f"{name}/bias"])

    def split(self, x: str, sizes: Sequence[int]) -> list[str]:
        """Split the last of two axes."""
        name = self.constant(f"sizes_{next(self._numbers)}", np.array(sizes, np.int64))
        return self.node_outputs("Split", [x, name], len(sizes), axis=1)

    def build(self, name: str, inputs: Shapes, outputs: Shapes) -> Any:
        """Return the finished graph as a GraphProto."""
        values = [
            [
                onnx.helper.make_tensor_value_info(key, FLOAT, list(shape))
                for key, shape in group.items()
            ]
            for group in (inputs, outputs)
        ]
        return onnx.helper.make_graph(self.nodes, name, *values, self.initializers)


def build_model(name: str, graph: Any, metadata: dict[str, str]) -> Any:
    """Return the ModelProto of a graph, for a file called `name`.

    Raises:
      GroovaeError: If the checker of the onnx package rejects it.
    """
    model = onnx.helper.make_model(
        graph,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="groovae",
        producer_version=__version__,
    )
    onnx.helper.set_model_props(model, metadata)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise GroovaeError(
            f"{name} is not a valid ONNX model ({first_line(error)}); this is a bug in groovae"
        ) from error
    return model
