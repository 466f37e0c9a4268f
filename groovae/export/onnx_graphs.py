"""The graphs of a GrooVAE model in ONNX, made by hand.

Four files, float32 in and out whatever the weights are stored as; n windows or grooves at once, of
any number of steps; `depth` is 3 * drums: hits, velocities, offsets. Models that are told hits have
`controls` [n, steps, drums] as well, in a single step [n, drums].

- encoder.onnx: `inputs` [n, steps, depth] to `mu` and `sigma` [n, z_size].
- decoder.onnx: `z` [n, z_size], `temperature` [] and `noise` [n, steps, drums] to `tensors`
  [n, steps, depth] and `likelihoods` [n, steps, drums], the chance of each hit at temperature 1.
- decoder_start.onnx: `z` to `state` [n, state_size], where decoding step by step begins.
- decoder_step.onnx: `z`, `state`, `previous` [n, depth], which is the last step's `tensors` and
  zeros at first, `temperature` and `noise` [n, drums] to `tensors`, `likelihoods`, `next_state`.

In JavaScript, with onnxruntime-node, an input is `new ort.Tensor("float32", values, dims)`; the
dims of a temperature are `[]`.

A hit falls where its logit is over temperature * noise. With u uniform in (0, 1), noise =
log(u / (1 - u)) makes that Bernoulli(sigmoid(logit / temperature)), as Magenta draws; a temperature
of 0 is where a hit is likelier than none. Noise of -inf gives a hit and inf rules it out, at any
temperature. Velocities are 0 to 1, offsets -1 to 1, in half steps.

LSTMs are those of Magenta (lstm_models.py, `LSTMBlockCell`): gates in the order i, j, f, o, and 1
is added to f, which is put into the bias here.
"""

import re
from typing import Any

import numpy as np

from groovae.export.onnx_nodes import FLOAT, Graph, Layer, Shape, Tensors, model_of


class Graphs:
    """The graphs of a model.

    Attributes:
      depth: Of inputs and outputs.
      controls: The drums whose hits the model is told; 0 for most.
    """

    def __init__(self, tensors: Tensors, controls: int, dtype: str = "float32"):
        """Take the output of `checkpoints.model_tensors`, and a dtype of `DTYPES["onnx"]`."""
        self._tensors, self._dtype, self.controls = tensors, dtype, controls
        self.depth = tensors["decoder/output_projection/bias"].size
        self._drums = self.depth // 3
        self._z_size = tensors["encoder/mu/bias"].size
        layers = _layers_in(tensors, "decoder")
        cells = [f"decoder/multi_rnn_cell/cell_{i}/lstm_cell" for i in range(layers)]
        self._kernels = [tensors[f"{cell}/kernel"] for cell in cells]
        self._biases = [_with_forget(tensors[f"{cell}/bias"]) for cell in cells]
        self._sizes = [bias.size // 4 for bias in self._biases for _ in "ch"]

    def models(self, metadata: dict[str, str]) -> dict[str, Any]:
        """The four models by file name, checked by ONNX's checker.

        Args:
          metadata: Goes into each of them.

        Raises:
          GroovaeError: the checker finds fault with one.
        """
        protos = {
            "encoder.onnx": self._encoder(),
            "decoder.onnx": self._decoder(),
            "decoder_start.onnx": self._start(),
            "decoder_step.onnx": self._step(),
        }
        return {name: model_of(name, proto, metadata) for name, proto in protos.items()}

    def _encoder(self) -> Any:
        graph = Graph(self._dtype)
        inputs: dict[str, Shape] = {"inputs": ("n", "steps", self.depth)}
        inputs |= self._controls("n", "steps")
        x = graph.node("Concat", *inputs, axis=2) if self.controls else "inputs"
        x = graph.node("Transpose", x, perm=[1, 0, 2])
        keep_two = graph.constant("keep_two", np.array([0, 0, -1], np.int64))
        for layer in range(_layers_in(self._tensors, "encoder")):
            every, last, _ = self._bidirectional(graph, x, layer)
            x = graph.node("Transpose", every, perm=[0, 2, 1, 3])
            x = graph.node("Reshape", x, keep_two)
        last = graph.node("Transpose", last, perm=[1, 0, 2])
        flat = graph.constant("flat", np.array([0, -1], np.int64))
        last = graph.node("Reshape", last, flat)
        graph.named("mu", graph.dense(last, self._tensors, "encoder/mu"))
        sigma = graph.dense(last, self._tensors, "encoder/sigma")
        graph.named("sigma", graph.node("Softplus", sigma))
        z = ("n", self._z_size)
        return graph.proto("encoder", inputs, {"mu": z, "sigma": z})

    def _bidirectional(self, graph: Graph, x: str, layer: int) -> list[str]:
        """Both directions of a layer: all outputs, the last ones, the last cells."""
        cell = "encoder/cell_{}/bidirectional_rnn/{}/multi_rnn_cell/cell_0/lstm_cell/{}"
        parts = []
        for direction in ("fw", "bw"):
            kernel = self._tensors[cell.format(layer, direction, "kernel")]
            bias = _with_forget(self._tensors[cell.format(layer, direction, "bias")])
            from_x, from_h = np.split(kernel, [len(kernel) - bias.size // 4])
            own_bias = np.concatenate([_as_onnx(bias), np.zeros_like(bias)])
            parts.append((_as_onnx(from_x), _as_onnx(from_h), own_bias))
        from_x, from_h, biases = (np.stack(both) for both in zip(*parts, strict=True))
        name = f"encoder/cell_{layer}"
        return graph.nodes_of(
            "LSTM",
            [
                x,
                graph.weight(f"{name}/inputs", from_x, input_axis=-1),
                graph.weight(f"{name}/hidden", from_h, input_axis=-1),
                graph.constant(f"{name}/bias", biases),
            ],
            3,
            hidden_size=from_h.shape[-1],
            direction="bidirectional",
        )

    def _decoder(self) -> Any:
        graph = Graph(self._dtype)
        inputs = self._decoder_inputs("n", "steps")
        start = graph.split(self._initial_state(graph), self._sizes)
        body = self._body(graph, self._layers(graph))
        scanned = [_thresholds(graph), *self._controls()]
        outputs = graph.nodes_of(
            "Scan",
            [*start, self._silence(graph), *scanned],
            len(start) + 3,
            body=body,
            num_scan_inputs=len(scanned),
            scan_input_axes=[1] * len(scanned),
            scan_output_axes=[1, 1],
        )
        graph.named("tensors", outputs[-2])
        graph.named("likelihoods", outputs[-1])
        return graph.proto("decoder", inputs, self._decoder_outputs("n", "steps"))

    def _body(self, outer: Graph, layers: list[Layer]) -> Any:
        """A step of the loop, which has the layers from outside of it."""
        graph = Graph(outer=outer)
        state = {f"state_{i}": ("n", size) for i, size in enumerate(self._sizes)}
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
            graph.named(f"after_{i}", value)
            outputs[f"after_{i}"] = shape
        return graph.proto("step", inputs, outputs)

    def _start(self) -> Any:
        graph = Graph(self._dtype)
        graph.named("state", self._initial_state(graph))
        state = {"state": ("n", sum(self._sizes))}
        return graph.proto("decoder_start", {"z": ("n", self._z_size)}, state)

    def _step(self) -> Any:
        graph = Graph(self._dtype)
        state = ("n", sum(self._sizes))
        inputs: dict[str, Shape] = {"state": state, "previous": ("n", self.depth)}
        tensors, likelihoods, next_state = self._advance(
            graph,
            self._layers(graph),
            graph.split("state", self._sizes),
            ["previous", *self._controls()],
            _thresholds(graph),
        )
        graph.named("tensors", tensors)
        graph.named("likelihoods", likelihoods)
        graph.named("next_state", graph.node("Concat", *next_state, axis=1))
        outputs = self._decoder_outputs("n") | {"next_state": state}
        return graph.proto("decoder_step", self._decoder_inputs("n") | inputs, outputs)

    def _advance(
        self,
        graph: Graph,
        layers: list[Layer],
        state: list[str],
        inputs: list[str],
        thresholds: str,
    ) -> tuple[str, str, list[str]]:
        """A step: `tensors`, `likelihoods` and the next state, c and h of each layer."""
        *cells, (projection, bias) = layers
        next_state = []
        for (kernel, added), c, h in zip(cells, state[::2], state[1::2], strict=True):
            gates = graph.node("MatMul", graph.node("Concat", *inputs, h, axis=1), kernel)
            c, h = _cell(graph, graph.node("Add", gates, added), c)
            next_state += [c, h]
            inputs = [h]
        out = graph.node("Add", graph.node("MatMul", *inputs, projection), bias)
        logits, velocities, offsets = graph.nodes_of("Split", [out], 3, axis=1)
        hits = graph.node("Greater", logits, thresholds)
        hits = graph.node("Cast", hits, to=FLOAT)
        felt = graph.node("Sigmoid", velocities), graph.node("Tanh", offsets)
        tensors = graph.node("Concat", hits, *felt, axis=1)
        return tensors, graph.node("Sigmoid", logits), next_state

    def _layers(self, graph: Graph) -> list[Layer]:
        """The kernel of each layer, and of the projection, and what is added.

        To the first one that is, beside the bias, what comes from z, which stays the same.
        """
        first = self._kernels[0]
        its_z = slice(self.depth, self.depth + self._z_size)
        z_kernel = graph.weight("decoder/cell_0/z", first[its_z])
        bias = graph.constant("decoder/cell_0/bias", self._biases[0])
        added = [graph.node("Add", graph.node("MatMul", "z", z_kernel), bias)]
        kernels = [np.delete(first, its_z, axis=0), *self._kernels[1:]]
        for i, bias_of_layer in enumerate(self._biases[1:], 1):
            added.append(graph.constant(f"decoder/cell_{i}/bias", bias_of_layer))
        names = [
            graph.weight(f"decoder/cell_{i}/kernel", kernel) for i, kernel in enumerate(kernels)
        ]
        return [
            *zip(names, added, strict=True),
            graph.parameters(self._tensors, "decoder/output_projection"),
        ]

    def _initial_state(self, graph: Graph) -> str:
        return graph.node("Tanh", graph.dense("z", self._tensors, "decoder/z_to_initial_state"))

    def _silence(self, graph: Graph) -> str:
        """What comes before the first step: zeros [n, depth]."""
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


def _thresholds(graph: Graph) -> str:
    scaled = graph.node("Mul", "noise", "temperature")
    return graph.node("Where", graph.node("IsInf", "noise"), "noise", scaled)


def _cell(graph: Graph, gates: str, c: str) -> list[str]:
    """c and h after a step of an LSTM, of which c was the cell."""
    i, j, f, o = graph.nodes_of("Split", [gates], 4, axis=1)
    kept = graph.node("Mul", graph.node("Sigmoid", f), c)
    new = graph.node("Mul", graph.node("Sigmoid", i), graph.node("Tanh", j))
    c = graph.node("Add", kept, new)
    return [c, graph.node("Mul", graph.node("Sigmoid", o), graph.node("Tanh", c))]


def _layers_in(tensors: Tensors, part: str) -> int:
    """How many layers the encoder or the decoder has."""
    return 1 + max(int(n) for n in re.findall(rf"\b{part}/[^\d ]*cell_(\d+)", " ".join(tensors)))


def _with_forget(bias: np.ndarray) -> np.ndarray:
    """The bias of an LSTM with the 1 that Magenta adds to the forget gate at run time."""
    parts = np.split(bias, 4)
    return np.concatenate([*parts[:2], parts[2] + 1, parts[3]])


def _as_onnx(gates: np.ndarray) -> np.ndarray:
    """Gates on the last axis, i, j, f, o, as ONNX's LSTM has them: on the first, i, o, f, j."""
    i, j, f, o = np.split(gates, 4, axis=-1)
    return np.concatenate([i, o, f, j], axis=-1).T
