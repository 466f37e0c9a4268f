"""Magenta's LSTM encoder and decoder, computed layer by layer.

Magenta's graph runs one small product per step and layer, and sums the gradients of the weights
step by step. With teacher forcing, all inputs of a layer are known beforehand: here one product
projects the inputs of all steps, the loop over the steps multiplies only the state, and one product
gives the gradient of the weights. With scheduled sampling, an input of the decoder depends on the
output before it, so that each step goes through all layers; the gradients of the weights are again
one product per layer.

Variables (names, shapes, initial values), dropout and losses are those of Magenta's
`lstm_models.py` and `lstm_utils.py`; checkpoints fit both. Sequences are time-major in this module:
[steps, batch, depth]. Products are of float32 or of values rounded to bfloat16; states and sums
are float32.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from groovae.errors import UsageError
from groovae.upstream import MusicVAE, lstm_models, magenta_configs, tf

lstm_utils = lstm_models.lstm_utils


class _State(NamedTuple):
    """Cell state and output of a layer, each [batch, units]."""

    c: Any
    h: Any


class _Layer(NamedTuple):
    """The variables of a layer: kernel [depth + units, 4 * units], bias [4 * units].

    A residual layer adds its input to its output. Where their depths differ, a projection
    (kernel, bias) changes that of the input.
    """

    kernel: Any
    bias: Any
    projection: tuple[Any, Any] | None
    residual: bool

    @property
    def units(self) -> int:
        return int(self.kernel.shape[1]) // 4


def layerwise(config: Any, precision: str = "float32") -> Any:
    """Return a Config whose unbuilt model is computed layer by layer.

    Args:
      config: A Config. Its encoder or decoder is kept unless it is Magenta's GrooVAE encoder or
        decoder; and so is a residual decoder with scheduled sampling.
      precision: `float32` or `bfloat16`, of the matrix products.

    Raises:
      UsageError: the loss is not Magenta's, and such a decoder is kept.
    """
    encoder, decoder, hparams = config.model.encoder, config.model.decoder, config.hparams
    if type(encoder) is lstm_models.BidirectionalLstmEncoder:
        encoder = LayerwiseEncoder(precision)
    is_sampled = hparams.sampling_schedule != "constant" or hparams.sampling_rate > 0
    if type(decoder) is lstm_models.GrooveLstmDecoder:
        if not (is_sampled and hparams.residual_decoder):
            decoder = LayerwiseDecoder(precision)
        elif hparams.get("feel_loss", "squared") != "squared":
            raise UsageError(
                "hparam feel_loss=absolute needs residual_decoder=false or sampling_rate=0"
            )
    return magenta_configs.update_config(config, {"model": MusicVAE(encoder, decoder)})


class LayerwiseEncoder(lstm_models.BidirectionalLstmEncoder):
    """Magenta's encoder, layer by layer."""

    def __init__(self, precision: str = "float32"):
        self._dtype = tf.as_dtype(precision)

    def build(self, hparams: Any, is_training: bool = True, name_or_scope: str = "encoder") -> None:
        super().build(hparams, is_training, name_or_scope)
        self._keep_prob = hparams.dropout_keep_prob if is_training else 1.0
        self._sizes, self._residual = hparams.enc_rnn_size, hparams.residual_encoder

    def encode(self, sequence: Any, sequence_length: Any) -> Any:
        """Return the last outputs of both directions, [batch, 2 * units]."""
        inputs = _swap(sequence)
        for number, units in enumerate(self._sizes):
            scope = f"{self._name_or_scope}/cell_{number}/bidirectional_rnn"
            reversed_inputs = _reverse(inputs, sequence_length)
            forward, cells_forward = self._run(f"{scope}/fw", inputs, units)
            backward, cells_backward = self._run(f"{scope}/bw", reversed_inputs, units)
            inputs = tf.concat([forward, _reverse(backward, sequence_length)], axis=2)
        cells = cells_forward, cells_backward
        return tf.concat([lstm_utils.get_final(h, sequence_length) for h in cells], axis=1)

    def _run(self, scope: str, inputs: Any, units: int) -> tuple[Any, Any]:
        """Return the outputs of a layer in one direction, and those of its cell."""
        depth = int(inputs.shape[2])
        layer = _layer(f"{scope}/multi_rnn_cell/cell_0", depth, units, self._residual, True)
        zeros = tf.zeros([tf.shape(inputs)[1], units])
        return _run_layer(layer, inputs, _State(zeros, zeros), self._keep_prob, self._dtype)


class LayerwiseDecoder(lstm_models.GrooveLstmDecoder):
    """Magenta's decoder, with a loss that is computed layer by layer."""

    def __init__(self, precision: str = "float32"):
        self._dtype = tf.as_dtype(precision)

    def build(self, hparams: Any, output_depth: int, is_training: bool = True) -> None:
        super().build(hparams, output_depth, is_training)
        self._keep_prob = hparams.dropout_keep_prob if is_training else 1.0
        self._sizes, self._residual = hparams.dec_rnn_size, hparams.residual_decoder
        self._feel_loss = hparams.get("feel_loss", "squared")

    def reconstruction_loss(
        self, x_input: Any, x_target: Any, x_length: Any, z: Any = None, c_input: Any = None
    ) -> tuple[Any, dict[str, Any], None]:
        """Return the loss of each sequence and the metrics; see Magenta's method."""
        batch_size = int(x_input.shape[0])
        steps = tf.shape(x_input)[1]
        z = tf.zeros([batch_size, 0]) if z is None else z
        given = [tf.tile(z[None], [steps, 1, 1])]
        if c_input is not None:
            given.append(_swap(c_input))
        states = self._initial_states(z)
        teacher, given = _swap(x_input), tf.concat(given, axis=2)
        if tf.get_static_value(self._sampling_probability) == 0.0:
            outputs = self._teacher_forced(tf.concat([teacher, given], axis=2), states)
        else:
            outputs = self._scheduled(teacher, given, states)
        flatten = functools.partial(lstm_models.flatten_maybe_padded_sequences, lengths=x_length)
        losses, metrics = self._flat_reconstruction_loss(flatten(x_target), flatten(_swap(outputs)))
        owners = tf.where(tf.sequence_mask(x_length, steps))[:, 0]
        return tf.math.unsorted_segment_sum(losses, owners, batch_size), metrics, None

    def _flat_reconstruction_loss(self, flat_x_target: Any, flat_rnn_output: Any) -> Any:
        """Return the loss of each step, [steps], and the metrics; see Magenta's method.

        With `feel_loss=absolute` the errors of velocities and offsets are absolute ones at hits,
        instead of squared ones, so that the decoder says the median of what drummers play.
        """
        if self._feel_loss == "squared":
            return super()._flat_reconstruction_loss(flat_x_target, flat_rnn_output)
        hits, *targets = tf.split(flat_x_target, 3, axis=1)
        found_hits, *found = self._activate_outputs(flat_rnn_output)
        losses = [tf.losses.log_loss(hits, found_hits, reduction=tf.losses.Reduction.NONE)]
        for target, output in zip(targets, found, strict=True):
            error = output - target
            losses.append(tf.where(hits > 0, tf.abs(error), tf.square(error)))
        sums = [tf.reduce_sum(loss, axis=1) for loss in losses]
        names = ("hits_loss", "velocities_loss", "offsets_loss")
        metrics = {f"metrics/{n}": tf.metrics.mean(x) for n, x in zip(names, sums, strict=True)}
        return tf.add_n(sums), metrics

    def _initial_states(self, z: Any) -> list[_State]:
        states = lstm_utils.initial_cell_state_from_embedding(
            self._dec_cell, z, name="decoder/z_to_initial_state"
        )
        return [_State(state.c, state.h) for state in states]

    def _layers(self, depth: int) -> list[_Layer]:
        depths = [depth, *self._sizes]
        return [
            _layer(
                f"decoder/multi_rnn_cell/cell_{number}",
                depth,
                units,
                self._residual,
                number == 0 or units != depth,
            )
            for number, (depth, units) in enumerate(itertools.pairwise(depths))
        ]

    def _output_variables(self) -> tuple[Any, Any]:
        with tf.variable_scope("decoder/output_projection", reuse=tf.AUTO_REUSE):
            return _dense_variables(self._sizes[-1], self._output_depth)

    def _teacher_forced(self, inputs: Any, states: list[_State]) -> Any:
        """Return the outputs of all steps when each input is the target before it."""
        for layer, state in zip(self._layers(int(inputs.shape[2])), states, strict=True):
            inputs, _ = _run_layer(layer, inputs, state, self._keep_prob, self._dtype)
        kernel, bias = self._output_variables()
        return _project(inputs, kernel, bias, tf.float32)

    def _scheduled(self, teacher: Any, given: Any, states: list[_State]) -> Any:
        """Return the outputs when some inputs are the decoder's own last output.

        This is the rule of Magenta's `ScheduledOutputTrainingHelper`: with the sampling
        probability, the next input of a sequence is drawn from its output.

        Args:
          teacher: The targets, one step late, [steps, batch, output depth].
          given: z and controls, [steps, batch, depth].
          states: The initial states of the layers.
        """
        depth = self._output_depth
        first, *others = self._layers(depth + int(given.shape[2]))
        steps, batch_size = tf.shape(given)[0], int(given.shape[1])
        of_outputs, of_given, of_state = tf.split(
            first.kernel, [depth, int(given.shape[2]), first.units]
        )
        gates = [_project(_dropout(given, self._keep_prob), of_given, first.bias, self._dtype)]
        gates += [tf.zeros([steps, batch_size, 4 * o.units]) + o.bias for o in others]
        kernels = [tf.concat([of_outputs, of_state], axis=0), *(o.kernel for o in others)]
        shape = [steps, batch_size, depth // 3]
        noise = tf.random.uniform if self._is_training else _fixed_uniform
        output = self._output_variables()
        feed = _Feed(
            first=teacher[0],
            teacher=_unstack(tf.concat([teacher[1:], teacher[:1]], axis=0)),
            is_sampled=_unstack(noise(shape[:2]) < self._sampling_probability),
            noise=_unstack(noise(shape)),
            keep_prob=self._keep_prob,
        )
        outputs = _recur_on_outputs(feed, gates, kernels, states, output, self._dtype)
        return _project(outputs, *output, tf.float32)


class _Feed(NamedTuple):
    """What the decoder is fed with scheduled sampling.

    Attributes:
      first: Its first input, [batch, depth].
      teacher: TensorArray of the targets of each step, which may be the next input.
      is_sampled: TensorArray of bool [batch]: whether the next input is drawn instead.
      noise: TensorArray of uniform random numbers [batch, drums], which decide drawn hits.
      keep_prob: The share of inputs that dropout keeps.
    """

    first: Any
    teacher: Any
    is_sampled: Any
    noise: Any
    keep_prob: float

    def next(self, time: Any, output: Any) -> Any:
        """Return the input after a step from the decoder's output at it."""
        hits, velocities, offsets = tf.split(output, 3, axis=1)
        hits = tf.cast(self.noise.read(time) < tf.sigmoid(hits), tf.float32)
        drawn = tf.concat([hits, tf.sigmoid(velocities), tf.tanh(offsets)], axis=1)
        return tf.where(self.is_sampled.read(time), drawn, self.teacher.read(time))


def _fixed_uniform(shape: Sequence[Any]) -> Any:
    return tf.random.stateless_uniform(shape, seed=(0, 0))


def _swap(sequences: Any) -> Any:
    """Swap batch-major and time-major."""
    return tf.transpose(sequences, [1, 0, 2])


def _reverse(sequences: Any, lengths: Any) -> Any:
    return tf.reverse_sequence(sequences, lengths, seq_axis=0, batch_axis=1)


def _flat(sequences: Any) -> Any:
    """Join steps and batch: [steps * batch, depth]."""
    return tf.reshape(sequences, [-1, sequences.shape[-1]])


def _product(a: Any, b: Any, dtype: Any, **transpose: bool) -> Any:
    """Multiply float32 matrices, rounded to `dtype`; return float32."""
    product = tf.matmul(tf.cast(a, dtype), tf.cast(b, dtype), **transpose)
    return tf.cast(product, tf.float32)


def _project(inputs: Any, kernel: Any, bias: Any, dtype: Any) -> Any:
    """Return inputs * kernel + bias for all steps in one product."""
    projected = tf.nn.bias_add(_product(_flat(inputs), kernel, dtype), bias)
    shape = [tf.shape(inputs)[0], inputs.shape[1], kernel.shape[1]]
    return tf.reshape(projected, shape)


def _dropout(inputs: Any, keep_prob: float) -> Any:
    return inputs if keep_prob == 1.0 else tf.nn.dropout(inputs, keep_prob=keep_prob)


def _dense_variables(depth: int, units: int) -> tuple[Any, Any]:
    zeros = tf.zeros_initializer()
    kernel = tf.get_variable("kernel", [depth, units])
    return kernel, tf.get_variable("bias", [units], initializer=zeros)


def _layer(scope: str, depth: int, units: int, residual: bool, projected: bool) -> _Layer:
    """Return the variables of Magenta's `rnn_cell`; `projected` matters for residual layers."""
    projection = None
    with tf.variable_scope(scope, reuse=tf.AUTO_REUSE):
        if residual and projected:
            scope = "input_projection_wrapper"
            with tf.variable_scope(scope):
                projection = _dense_variables(depth, units)
            depth = units
        with tf.variable_scope(f"{scope}/lstm_cell" if projection else "lstm_cell"):
            kernel, bias = _dense_variables(depth + units, 4 * units)
    return _Layer(kernel, bias, projection, residual)


def _run_layer(
    layer: _Layer, inputs: Any, state: _State, keep_prob: float, dtype: Any
) -> tuple[Any, Any]:
    """Return the outputs of a layer for all steps, and those of its cell, without the residual."""
    inputs = _dropout(inputs, keep_prob)
    if layer.projection:
        inputs = _project(inputs, *layer.projection, tf.float32)
    of_inputs, of_state = tf.split(layer.kernel, [int(inputs.shape[2]), layer.units])
    gates = _project(inputs, of_inputs, layer.bias, dtype)
    cells = _recur(gates, of_state, state, dtype)
    return cells + inputs if layer.residual else cells, cells


def _cell(gates: Any, c_before: Any, kernel: Any) -> _State:
    """Return the new state of `LSTMBlockCell` from its gates before their activations.

    Args:
      gates: [batch, 4 * units], in the order of that cell, without its forget bias of 1.
      c_before: The cell state before, [batch, units].
      kernel: The weights of the state, of which the gradient needs the shape.
    """

    @tf.custom_gradient
    def cell(gates: Any, c_before: Any) -> Any:
        i, candidate, f, o = tf.split(gates, 4, axis=1)
        i, candidate, f, o = tf.sigmoid(i), tf.tanh(candidate), tf.sigmoid(f + 1.0), tf.sigmoid(o)
        c = f * c_before + i * candidate
        tanh_c = tf.tanh(c)

        def gradient(d_c: Any, d_h: Any) -> tuple[Any, Any]:
            zeros = tf.zeros([c.shape[1]])
            shapes = {"x": c[:, :0], "h_prev": c, "w": kernel, "b": gates[0]}
            weights = dict.fromkeys(("wci", "wcf", "wco"), zeros)
            saved = {"i": i, "ci": candidate, "f": f, "o": o, "cs": c, "co": tanh_c}
            found = tf.raw_ops.LSTMBlockCellGrad(
                **(shapes | weights | saved),
                cs_prev=c_before,
                cs_grad=d_c,
                h_grad=d_h,
                use_peephole=False,
            )
            return found.dicfo, found.cs_prev_grad

        return (c, o * tanh_c), gradient

    return _State(*cell(gates, c_before))


def _recur(gates: Any, kernel: Any, state: _State, dtype: Any) -> Any:
    """Return the cell outputs of all steps from projected inputs, [steps, batch, 4 * units]."""

    @tf.custom_gradient
    def recur(gates: Any, kernel: Any, c: Any, h: Any) -> Any:
        rounded, inputs = tf.cast(kernel, dtype), _unstack(gates)

        def step(time: Any, c: Any, h: Any, outputs: Any) -> Any:
            c, h = _cell(inputs.read(time) + _product(h, rounded, dtype), c, kernel)
            return time + 1, c, h, outputs.write(time, h)

        outputs = _loop(step, inputs.size(), c, h, _array(inputs.size(), h.shape))[-1].stack()

        def gradient(d_outputs: Any) -> Any:
            d_gates, d_c, d_h = tf.gradients(outputs, [gates, c, h], d_outputs)
            before = tf.concat([h[None], outputs[:-1]], axis=0)
            d_kernel = _product(_flat(before), _flat(d_gates), dtype, transpose_a=True)
            return d_gates, d_kernel, d_c, d_h

        return outputs, gradient

    return recur(gates, kernel, *state)


def _loop(step: Callable[..., Any], steps: Any, *values: Any) -> Any:
    """Return the loop variables after all steps; the first of them is the time."""
    # One iteration at a time, so that random numbers are drawn in order.
    return tf.while_loop(
        lambda time, *_: time < steps, step, (tf.constant(0), *values), parallel_iterations=1
    )


def _array(steps: Any, shape: Any = None, dtype: Any = tf.float32) -> Any:
    return tf.TensorArray(dtype, steps, element_shape=shape)


def _unstack(sequences: Any) -> Any:
    shape = sequences.shape[1:]
    return _array(tf.shape(sequences)[0], shape, sequences.dtype).unstack(sequences)


def _recur_on_outputs(
    feed: _Feed, gates: list[Any], kernels: list[Any], states: list[_State], output: Any, dtype: Any
) -> Any:
    """Return the top layer's outputs of all steps, where an input may depend on the last output.

    Args:
      feed: The inputs.
      gates: For each layer, what is added to its gates, [steps, batch, 4 * units].
      kernels: For each layer, the weights of its input and state, [depth + units, 4 * units].
      states: The initial state of each layer.
      output: Kernel and bias of the output projection.
      dtype: Type of the products.
    """
    structure = [gates, kernels, states, output]

    @tf.custom_gradient
    def recur(*tensors: Any) -> Any:
        gates, kernels, states, output = tf.nest.pack_sequence_as(structure, tensors)
        rounded = [tf.cast(kernel, dtype) for kernel in kernels]
        added = [_unstack(sequences) for sequences in gates]
        steps = added[0].size()

        def step(time: Any, inputs: Any, states: list[_State], tops: Any, seen: list[Any]) -> Any:
            states, seen = list(states), list(seen)
            for n, (c, h) in enumerate(states):
                inputs = tf.concat([_dropout(inputs, feed.keep_prob), h], axis=1)
                seen[n] = seen[n].write(time, inputs)
                inputs = added[n].read(time) + _product(inputs, rounded[n], dtype)
                states[n] = _cell(inputs, c, kernels[n][-int(c.shape[1]) :])
                inputs = states[n].h
            next_inputs = feed.next(time, tf.matmul(inputs, output[0]) + output[1])
            return time + 1, next_inputs, states, tops.write(time, inputs), seen

        arrays = [_array(steps, [None, kernel.shape[0]]) for kernel in kernels]
        top = _array(steps, states[-1].h.shape)
        *_, top, seen = _loop(step, steps, feed.first, states, top, arrays)
        tops = top.stack()

        def gradient(d_tops: Any) -> list[Any]:
            sources = [gates, states, output]
            flat = tf.gradients(tops, tf.nest.flatten(sources), d_tops)
            d_gates, d_states, d_output = tf.nest.pack_sequence_as(sources, flat)
            d_kernels = [
                _product(_flat(inputs.stack()), _flat(d), dtype, transpose_a=True)
                for inputs, d in zip(seen, d_gates, strict=True)
            ]
            return tf.nest.flatten([d_gates, d_kernels, d_states, d_output])

        return tops, gradient

    return recur(*tf.nest.flatten(structure))
