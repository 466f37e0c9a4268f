"""Build the ONNX graphs of a GrooVAE model.

There are four models. Inputs and outputs are float32 for every storage type of the weights; n is
the number of windows, with any number of steps; `depth` is 3 * drums: hits, velocities, offsets.
Models with hits as controls also take `controls` [n, steps, drums], or [n, drums] for one step.

- encoder.onnx: `inputs` [n, steps, depth] to `mu` and `sigma` [n, z_size].
- decoder.onnx: `z` [n, z_size], `temperature` [] and `noise` [n, steps, drums] to `tensors`
  [n, steps, depth] and `likelihoods` [n, steps, drums], the hit probabilities at temperature 1.
- decoder_start.onnx: `z` to `state` [n, state_size], the state before the first step.
- decoder_step.onnx: `z`, `state`, `previous` [n, depth] (`tensors` of the previous step, zeros at
  first), `temperature` and `noise` [n, drums] to `tensors`, `likelihoods` and `next_state`.

In JavaScript, with onnxruntime-node, an input is `new ort.Tensor("float32", values, dims)`; the
dims of a temperature are `[]`.

A hit is present if its logit is greater than temperature * noise. With u uniform in (0, 1), noise =
log(u / (1 - u)) makes hits Bernoulli(sigmoid(logit / temperature)), as in Magenta; at temperature 0
a hit is present if its probability is over 0.5. At any temperature, noise of -inf forces a hit and
inf prevents it. Velocities are 0 to 1, offsets -1 to 1, in half steps.

LSTMs are those of Magenta (lstm_models.py, `LSTMBlockCell`): gates in the order i, j, f, o, and 1
is added to f, as a second bias here, so that the biases are stored as they are.
"""

import re
from typing import Any

import numpy as np

from groovae.export.onnx_nodes import FLOAT, GraphBuilder, Layer, Shape, Tensors, build_model


class ModelGraphs:
    """The graphs of a model.

    Attributes:
      depth: The depth of inputs and outputs.
      controls: The depth of the controls; 0 for most models.
    """

    def __init__(self, tensors: Tensors, controls: int, dtype: str = "float32"):
        """Take weights from `checkpoints.model_tensors`, and a storage type of `DTYPES["onnx"]`."""
        self._tensors, self._dtype, self.controls = tensors, dtype, controls
        self.depth = tensors["decoder/output_projection/bias"].size
        self._drums = self.depth // 3
        self._z_size = tensors["encoder/mu/bias"].size
        layers = _num_layers(tensors, "decoder")
        cells = [f"decoder/multi_rnn_cell/cell_{i}/lstm_cell" for i in range(layers)]
        self._kernels = [tensors[f"{cell}/kernel"] for cell in cells]
        self._biases = [tensors[f"{cell}/bias"] for cell in cells]
        self._state_sizes = [bias.size // 4 for bias in self._biases for _ in "ch"]

    def models(self, metadata: dict[str, str]) -> dict[str, Any]:
        """Return the four models by file name, checked by the onnx package.

        Args:
          metadata: Written into each of them.

        Raises:
          GroovaeError: If the check fails.
        """
        graphs = {
            "encoder.onnx": self._encoder(),
            "decoder.onnx": self._decoder(),
            "decoder_start.onnx": self._decoder_start(),
            "decoder_step.onnx": self._decoder_step(),
        }
        return {name: build_model(name, graph, metadata) for name, graph in graphs.items()}

    def _encoder(self) -> Any:
        graph = GraphBuilder(self._dtype)
        inputs: dict[str, Shape] = {"inputs": ("n", "steps", self.depth)}
        inputs |= self._controls("n", "steps")
        x = graph.node("Concat", *inputs, axis=2) if self.controls else "inputs"
        x = graph.node("Transpose", x, perm=[1, 0, 2])
        keep_two = graph.constant("keep_two", np.array([0, 0, -1], np.int64))
        for layer in range(_num_layers(self._tensors, "encoder")):
            outputs, last, _ = self._bidirectional(graph, x, layer)
            x = graph.node("Transpose", outputs, perm=[0, 2, 1, 3])
            x = graph.node("Reshape", x, keep_two)
        last = graph.node("Transpose", last, perm=[1, 0, 2])
        flat = graph.constant("flat", np.array([0, -1], np.int64))
        last = graph.node("Reshape", last, flat)
        graph.set_output("mu", graph.dense(last, self._tensors, "encoder/mu"))
        sigma = graph.dense(last, self._tensors, "encoder/sigma")
        graph.set_output("sigma", graph.node("Softplus", sigma))
        z = ("n", self._z_size)
        return graph.build("encoder", inputs, {"mu": z, "sigma": z})

    def _bidirectional(self, graph: GraphBuilder, x: str, layer: int) -> list[str]:
        """Add both directions of a layer; return all outputs, the last ones and the last cells."""
        cell = "encoder/cell_{}/bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell/{}"
        parts = []
        for direction in ("fw", "bw"):
            kernel = self._tensors[cell.format(layer, direction, "kernel")]
            bias = self._tensors[cell.format(layer, direction, "bias")]
            from_x, from_h = np.split(kernel, [len(kernel) - bias.size // 4])
            both_biases = np.concatenate([*map(_to_onnx_gates, (bias, _forget_bias(bias)))])
            parts.append((_to_onnx_gates(from_x), _to_onnx_gates(from_h), both_biases))
        from_x, from_h, biases = (np.stack(both) for both in zip(*parts, strict=True))
        name = f"encoder/cell_{layer}"
        parameters = [
            graph.weight(f"{name}/inputs", from_x, input_axis=-1),
            graph.weight(f"{name}/hidden", from_h, input_axis=-1),
            graph.constant(f"{name}/bias", biases),
        ]
        size = from_h.shape[-1]
        return graph.node_outputs(
            "LSTM", [x, *parameters], 3, hidden_size=size, direction="bidirectional"
        )

    def _decoder(self) -> Any:
        graph = GraphBuilder(self._dtype)
        inputs = self._decoder_inputs("n", "steps")
        state = graph.split(self._initial_state(graph), self._state_sizes)
        body = self._scan_body(graph, self._decoder_layers(graph))
        scanned = [_thresholds(graph), *self._controls()]
        outputs = graph.node_outputs(
            "Scan",
            [*state, self._zeros(graph), *scanned],
            len(state) + 3,
            body=body,
            num_scan_inputs=len(scanned),
            scan_input_axes=[1] * len(scanned),
            scan_output_axes=[1, 1],
        )
        graph.set_output("tensors", outputs[-2])
        graph.set_output("likelihoods", outputs[-1])
        return graph.build("decoder", inputs, self._decoder_outputs("n", "steps"))

    def _scan_body(self, outer: GraphBuilder, layers: list[Layer]) -> Any:
        """Return the graph of one step in a loop, which uses layers of the `outer` graph."""
        graph = GraphBuilder(outer=outer)
        state = {f"state_{i}": ("n", size) for i, size in enumerate(self._state_sizes)}
        inputs: dict[str, Shape] = {**state, "previous_now": ("n", self.depth)}
        inputs["thresholds_now"] = ("n", self._drums)
        inputs.update({f"{name}_now": shape for name, shape in self._controls("n").items()})
        previous, thresholds, *controls = [name for name in inputs if name not in state]
        tensors, likelihoods, next_state = self._advance(
            graph, layers, list(state), [previous, *controls], thresholds
        )
        outputs: dict[str, Shape] = {}
        values = [*next_state, tensors, tensors, likelihoods]
        shapes = [*state.values(), *[("n", self.depth)] * 2, ("n", self._drums)]
        for i, (value, shape) in enumerate(zip(values, shapes, strict=True)):
            graph.set_output(f"after_{i}", value)
            outputs[f"after_{i}"] = shape
        return graph.build("step", inputs, outputs)

    def _decoder_start(self) -> Any:
        graph = GraphBuilder(self._dtype)
        graph.set_output("state", self._initial_state(graph))
        state = {"state": ("n", sum(self._state_sizes))}
        return graph.build("decoder_start", {"z": ("n", self._z_size)}, state)

    def _decoder_step(self) -> Any:
        graph = GraphBuilder(self._dtype)
        state = ("n", sum(self._state_sizes))
        inputs: dict[str, Shape] = {"state": state, "previous": ("n", self.depth)}
        tensors, likelihoods, next_state = self._advance(
            graph,
            self._decoder_layers(graph),
            graph.split("state", self._state_sizes),
            ["previous", *self._controls()],
            _thresholds(graph),
        )
        graph.set_output("tensors", tensors)
        graph.set_output("likelihoods", likelihoods)
        graph.set_output("next_state", graph.node("Concat", *next_state, axis=1))
        outputs = self._decoder_outputs("n") | {"next_state": state}
        return graph.build("decoder_step", self._decoder_inputs("n") | inputs, outputs)

    def _advance(
        self,
        graph: GraphBuilder,
        layers: list[Layer],
        state: list[str],
        inputs: list[str],
        thresholds: str,
    ) -> tuple[str, str, list[str]]:
        """Decode a step; return tensors, likelihoods and the next state, c and h of each layer."""
        *cells, (projection, bias) = layers
        next_state = []
        for (kernel, added), c, h in zip(cells, state[::2], state[1::2], strict=True):
            gates = graph.node("MatMul", graph.node("Concat", *inputs, h, axis=1), kernel)
            c, h = _lstm_cell(graph, graph.node("Add", gates, added), c)
            next_state += [c, h]
            inputs = [h]
        out = graph.node("Add", graph.node("MatMul", *inputs, projection), bias)
        logits, velocities, offsets = graph.node_outputs("Split", [out], 3, axis=1)
        hits = graph.node("Greater", logits, thresholds)
        hits = graph.node("Cast", hits, to=FLOAT)
        played = graph.node("Sigmoid", velocities), graph.node("Tanh", offsets)
        tensors = graph.node("Concat", hits, *played, axis=1)
        return tensors, graph.node("Sigmoid", logits), next_state

    def _decoder_layers(self, graph: GraphBuilder) -> list[Layer]:
        """Add the layers of the decoder and its projection.

        The product with z, which is the same at all steps, is part of the first layer's bias.
        """
        first = self._kernels[0]
        z_rows = slice(self.depth, self.depth + self._z_size)
        z_kernel = graph.weight("decoder/cell_0/z", first[z_rows])
        biases = [
            graph.node(
                "Add",
                graph.constant(f"decoder/cell_{i}/bias", bias),
                graph.constant(f"decoder/cell_{i}/forget_bias", _forget_bias(bias)),
            )
            for i, bias in enumerate(self._biases)
        ]
        biases[0] = graph.node("Add", graph.node("MatMul", "z", z_kernel), biases[0])
        kernels = [
            graph.weight(f"decoder/cell_{i}/kernel", kernel)
            for i, kernel in enumerate([np.delete(first, z_rows, axis=0), *self._kernels[1:]])
        ]
        projection = graph.dense_parameters(self._tensors, "decoder/output_projection")
        return [*zip(kernels, biases, strict=True), projection]

    def _initial_state(self, graph: GraphBuilder) -> str:
        return graph.node("Tanh", graph.dense("z", self._tensors, "decoder/z_to_initial_state"))

    def _zeros(self, graph: GraphBuilder) -> str:
        """Add the input of the first step, zeros [n, depth]."""
        first = graph.constant("first", np.array([0], np.int64))
        n = graph.node("Gather", graph.node("Shape", "z"), first)
        depth = graph.constant("depth", np.array([self.depth], np.int64))
        return graph.node("ConstantOfShape", graph.node("Concat", n, depth, axis=0))

    def _controls(self, *axes: str) -> dict[str, Shape]:
        return {"controls": (*axes, self.controls)} if self.controls else {}

    def _decoder_inputs(self, *axes: str) -> dict[str, Shape]:
        inputs: dict[str, Shape] = {"z": ("n", self._z_size), "temperature": ()}
        return inputs | {"noise": (*axes, self._drums)} | self._controls(*axes)

    def _decoder_outputs(self, *axes: str) -> dict[str, Shape]:
        return {"tensors": (*axes, self.depth), "likelihoods": (*axes, self._drums)}


def _thresholds(graph: GraphBuilder) -> str:
    """Add temperature * noise; infinite noise stays, as 0 * inf is NaN."""
    scaled = graph.node("Mul", "noise", "temperature")
    return graph.node("Where", graph.node("IsInf", "noise"), "noise", scaled)


def _lstm_cell(graph: GraphBuilder, gates: str, c: str) -> list[str]:
    """Return the next c and h of an LSTM cell."""
    i, j, f, o = graph.node_outputs("Split", [gates], 4, axis=1)
    kept = graph.node("Mul", graph.node("Sigmoid", f), c)
    new = graph.node("Mul", graph.node("Sigmoid", i), graph.node("Tanh", j))
    c = graph.node("Add", kept, new)
    return [c, graph.node("Mul", graph.node("Sigmoid", o), graph.node("Tanh", c))]


def _num_layers(tensors: Tensors, part: str) -> int:
    """Return the number of layers of the encoder or the decoder."""
    return 1 + max(int(n) for n in re.findall(rf"\b{part}/[^\d ]*cell_(\d+)", " ".join(tensors)))


def _forget_bias(bias: np.ndarray) -> np.ndarray:
    """Return the 1 that Magenta adds to the forget gates of an LSTM at run time, 0 for others."""
    return np.repeat(np.array([0, 0, 1, 0], np.float32), bias.size // 4)


def _to_onnx_gates(gates: np.ndarray) -> np.ndarray:
    """Move gates i, j, f, o on the last axis to i, o, f, j on the first, as ONNX's LSTM has."""
    i, j, f, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, o, f, j], axis=-1).T
