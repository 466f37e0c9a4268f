"""The two graphs of Magenta's `music_vae_train.py`: one that trains and one that evaluates.

The model, its losses and the optimizer are Magenta's; batches come in through placeholders, in the
order of `batches.Batch`, so that the graph runs in any TensorFlow session, on other machines too.
Scalars go by the names under which Magenta shows them in TensorBoard.
"""

from dataclasses import dataclass
from typing import Any

from groovae.data.batches import Batch
from groovae.errors import UsageError, first_line
from groovae.upstream import MusicVAE, tf

TRAINING_SCALARS = (
    *("loss", "losses/r_loss", "losses/kl_loss", "losses/kl_bits", "losses/kl_beta"),
    *("learning_rate", "global_norm"),
)


@dataclass(frozen=True)
class TrainingGraph:
    """A graph that trains.

    Attributes:
      train_op: Does one step; its value is the global step after it.
      inputs: The placeholders of a batch, by the model's name for them; None for what it has not.
      global_step: The variable that counts the steps.
      scalars: `TRAINING_SCALARS` of the step, as tensors.
      optimizer: The optimizer, which workers that step together have further use for.
    """

    train_op: Any
    inputs: dict[str, Any]
    global_step: Any
    scalars: dict[str, Any]
    optimizer: Any


@dataclass(frozen=True)
class EvaluationGraph:
    """A graph that evaluates a batch.

    Attributes:
      inputs: The placeholders of a batch, as in a `TrainingGraph`.
      global_step: The variable that counts the steps, on which the weight of the KL cost depends.
      losses: By the name, the tensor whose value is the mean over the batch.
      reset: Run it ahead of each batch, as Magenta's means go on from batch to batch.
    """

    inputs: dict[str, Any]
    global_step: Any
    losses: dict[str, Any]
    reset: Any


def feed(inputs: dict[str, Any], batch: Batch) -> dict[Any, Any]:
    """The feed_dict of a batch; controls that the model does not have are left out."""
    pairs = zip(inputs.values(), batch, strict=True)
    return {tensor: value for tensor, value in pairs if tensor is not None}


def training_graph(config: Any, num_sync_workers: int = 0) -> TrainingGraph:
    """Builds the graph of `music_vae_train.train` in the default graph.

    Args:
      config: A Config that was not built yet.
      num_sync_workers: How many workers' gradients are applied together; 0 for each by itself.

    Raises:
      UsageError: the hparams do not make a model.
    """
    model = config.model
    inputs = _build(model, config, is_training=True)
    optimizer = model.train(**inputs)
    if num_sync_workers:
        optimizer = tf.train.SyncReplicasOptimizer(optimizer, num_sync_workers)
    applied = optimizer.apply_gradients(
        _clipped_gradients(optimizer.compute_gradients(model.loss), config.hparams),
        global_step=model.global_step,
        name="train_step",
    )
    with tf.control_dependencies([applied]):
        step_done = model.global_step.read_value()
    graph = tf.get_default_graph()
    # A summary's op is named as it is shown; its inputs are that name and the value.
    scalars = {name: graph.get_operation_by_name(name).inputs[1] for name in TRAINING_SCALARS}
    return TrainingGraph(step_done, inputs, model.global_step, scalars, optimizer)


def evaluation_graph(config: Any) -> EvaluationGraph:
    """Builds the graph of `music_vae_train.evaluate` in the default graph, with z = mu.

    Args:
      config: A Config that was not built yet; its `batch_size` is that of all batches.
    """
    model = _AtMu(config.model.encoder, config.model.decoder)
    inputs = _build(model, config, is_training=False)
    updates = model.eval(**inputs)
    names = [summary.op.name for summary in tf.get_collection(tf.GraphKeys.SUMMARIES)]
    losses = dict(zip(names, updates, strict=True))
    return EvaluationGraph(inputs, model.global_step, losses, tf.local_variables_initializer())


class _AtMu(MusicVAE):
    """A MusicVAE that decodes the mean of the posterior where Magenta's draws from it.

    A loss is then the same each time. The KL divergence is that of the whole posterior.
    """

    def encode(self, sequence: Any, sequence_length: Any, control_sequence: Any = None) -> Any:
        posterior = super().encode(sequence, sequence_length, control_sequence)
        posterior.sample = posterior.mean
        return posterior


def _build(model: Any, config: Any, is_training: bool) -> dict[str, Any]:
    """Builds the model and its placeholders, with the static shapes that it needs."""
    hparams, converter = config.hparams, config.data_converter
    try:
        model.build(hparams, converter.output_depth, is_training)
    except ValueError as error:
        raise UsageError(f"the hparams do not make a model: {first_line(error)}") from error
    depths = {
        "input_sequence": converter.input_depth,
        "output_sequence": converter.output_depth,
        "control_sequence": converter.control_depth,
    }
    sequences = {
        name: tf.placeholder(tf.float32, [hparams.batch_size, None, depth], name) if depth else None
        for name, depth in depths.items()
    }
    lengths = tf.placeholder(tf.int32, [hparams.batch_size], "sequence_length")
    return {**sequences, "sequence_length": lengths}


def _clipped_gradients(gradients: list[tuple[Any, Any]], hparams: Any) -> list[tuple[Any, Any]]:
    """(gradient, variable) pairs, clipped by `hparams.clip_mode`, and the global norm's summary.

    In the mode `global_norm`, a step whose norm reaches `grad_norm_clip_to_zero` is left out.
    """
    grads, variables = zip(*gradients, strict=True)
    # Under another name, since two things called global_norm make TensorBoard show "global_norm_1".
    global_norm = tf.global_norm(grads, name="gradient_norm")
    tf.summary.scalar("global_norm", global_norm)
    if hparams.clip_mode == "value":
        clip = hparams.grad_clip
        clipped = [tf.clip_by_value(grad, -clip, clip) for grad in grads]
    elif hparams.clip_mode == "global_norm":
        clipped = tf.cond(
            global_norm < hparams.grad_norm_clip_to_zero,
            lambda: tf.clip_by_global_norm(grads, hparams.grad_clip, use_norm=global_norm)[0],
            lambda: [tf.zeros(tf.shape(grad)) for grad in grads],
        )
    else:
        raise UsageError(
            f"hparam clip_mode must be value or global_norm, got {hparams.clip_mode!r}"
        )
    return list(zip(clipped, variables, strict=True))
