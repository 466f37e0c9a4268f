"""ONNX graphs in the making: nodes, weights as they are to be stored, and the model around them."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groovae import __version__
from groovae.errors import GroovaeError, first_line
from groovae.system.packages import need_package

onnx: Any = need_package("onnx")

OPSET, IR_VERSION = 14, 8  # which runtimes of 2021 know
FLOAT = onnx.TensorProto.FLOAT

Tensors = dict[str, np.ndarray]
Shape = Sequence[int | str]
Shapes = Mapping[str, Shape]
Layer = tuple[str, str]  # the names of what is multiplied with, and of what is added


class Graph:
    """Nodes and weights in the making.

    Attributes:
      nodes: What was added by `node`.
      initializers: The weights as they are stored.
    """

    def __init__(self, dtype: str = "float32", outer: "Graph | None" = None):
        """An empty graph with weights of a dtype, or the body of a loop in the graph `outer`."""
        self._dtype = dtype
        self._numbers: Any = outer._numbers if outer else itertools.count()
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node and returns its output."""
        return self.nodes_of(op, inputs, 1, **attributes)[0]

    def nodes_of(
        self, op: str, inputs: Sequence[str], outputs: int, **attributes: Any
    ) -> list[str]:
        """Adds a node and returns its outputs."""
        number = next(self._numbers)
        names = [f"{op}_{number}_{i}" for i in range(outputs)]
        self.nodes.append(onnx.helper.make_node(op, list(inputs), names, **attributes))
        return names

    def named(self, name: str, value: str) -> None:
        """Gives an output of the graph its name."""
        self.nodes.append(onnx.helper.make_node("Identity", [value], [name]))

    def constant(self, name: str, array: np.ndarray) -> str:
        self.initializers.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name: str, array: np.ndarray, input_axis: int = 0) -> str:
        """Adds a matrix, stored as the graph's dtype, and returns it in float32.

        int8 has a scale for each output, so that all but `input_axis` have their own. A runtime
        does the conversion once, when it loads the file.

        Raises:
          GroovaeError: a value is too large for float16.
        """
        if self._dtype == "float32":
            return self.constant(name, array)
        if self._dtype == "float16":
            if np.abs(array).max() > np.finfo(np.float16).max:
                raise GroovaeError(
                    f"{name} has values beyond 65,504; take another --dtype than float16"
                )
            stored = self.constant(f"{name}/float16", array.astype(np.float16))
            return self.node("Cast", stored, to=FLOAT)
        scale = np.abs(array).max(axis=input_axis, keepdims=True) / np.float32(127)
        scale[scale == 0] = 1
        stored = self.constant(f"{name}/int8", np.rint(array / scale).astype(np.int8))
        as_float = self.node("Cast", stored, to=FLOAT)
        return self.node("Mul", as_float, self.constant(f"{name}/scale", scale))

    def dense(self, x: str, tensors: Tensors, name: str) -> str:
        """A layer of Magenta's, by the name of its variables, without its activation."""
        kernel, bias = self.parameters(tensors, name)
        return self.node("Add", self.node("MatMul", x, kernel), bias)

    def parameters(self, tensors: Tensors, name: str) -> Layer:
        kernel = self.weight(f"{name}/kernel", tensors[f"{name}/kernel"])
        return kernel, self.constant(f"{name}/bias", tensors[f"{name}/bias"])

    def split(self, x: str, sizes: Sequence[int]) -> list[str]:
        """Parts of the last of two axes."""
        name = f"sizes_{next(self._numbers)}"
        self.constant(name, np.array(sizes, np.int64))
        return self.nodes_of("Split", [x, name], len(sizes), axis=1)

    def proto(self, name: str, inputs: Shapes, outputs: Shapes) -> Any:
        values = [
            [
                onnx.helper.make_tensor_value_info(key, FLOAT, list(shape))
                for key, shape in group.items()
            ]
            for group in (inputs, outputs)
        ]
        return onnx.helper.make_graph(self.nodes, name, *values, self.initializers)


def model_of(name: str, proto: Any, metadata: dict[str, str]) -> Any:
    """The model of a graph, for a file of this name.

    Raises:
      GroovaeError: ONNX's checker finds fault with it.
    """
    model = onnx.helper.make_model(
        proto,
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
            f"{name} is no valid ONNX model ({first_line(error)}); this is a mistake in groovae"
        ) from error
    return model
