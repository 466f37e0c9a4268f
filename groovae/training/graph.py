"""The two graphs of Magenta's `music_vae_train.py`: one for training and one for evaluation.

Model, losses and optimizer are Magenta's; `groovae.model.lstm` computes them by layer. Batches
are fed through placeholders, in the order of `batches.Batch`, so that the graph runs in any
TensorFlow session, on other machines too. Scalars have Magenta's TensorBoard names. Gradients are
clipped in `clip_gradients`.
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
    """A graph that trains a model.

    Attributes:
      train_op: Runs one step; its value is the global step after it.
      inputs: The placeholders of a batch by the model's argument names; None for unused controls.
      global_step: The step counter variable.
      scalars: The tensors of `TRAINING_SCALARS` by name.
      optimizer: The optimizer, a SyncReplicasOptimizer for synchronous replicas.
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
      inputs: The placeholders of a batch, as in `TrainingGraph`.
      global_step: The step counter variable, which sets the weight of the KL cost.
      losses: The mean of each loss over the batch, by name.
      reset: Run it before each batch, since Magenta's means accumulate over batches.
    """

    inputs: dict[str, Any]
    global_step: Any
    losses: dict[str, Any]
    reset: Any


def feed(inputs: dict[str, Any], batch: Batch) -> dict[Any, Any]:
    """Return the feed_dict of a batch, without controls that the model does not take."""
    pairs = zip(inputs.values(), batch, strict=True)
    return {tensor: value for tensor, value in pairs if tensor is not None}


def training_graph(config: Any, num_sync_workers: int = 0) -> TrainingGraph:
    """Build the graph of `music_vae_train.train` in the default graph.

    Args:
      config: A Config whose model was not built yet.
      num_sync_workers: Number of replicas whose gradients are averaged and applied together; 0 if
        each replica applies its own.

    Raises:
      UsageError: the hparams do not make a model.
    """
    model = config.model
    inputs = build(model, config, is_training=True)
    optimizer = model.train(**inputs)
    if num_sync_workers:
        optimizer = tf.train.SyncReplicasOptimizer(optimizer, num_sync_workers)
    applied = optimizer.apply_gradients(
        clip_gradients(optimizer.compute_gradients(model.loss), config.hparams),
        global_step=model.global_step,
        name="train_step",
    )
    with tf.control_dependencies([applied]):
        step_done = model.global_step.read_value()
    graph = tf.get_default_graph()
    # A summary op has the summary's name; its inputs are that name and the value.
    scalars = {name: graph.get_operation_by_name(name).inputs[1] for name in TRAINING_SCALARS}
    return TrainingGraph(step_done, inputs, model.global_step, scalars, optimizer)


def clip_gradients(gradients: list[tuple[Any, Any]], hparams: Any) -> list[tuple[Any, Any]]:
    """Clip (gradient, variable) pairs by `hparams.clip_mode`, and summarise the global norm.

    - "value": clip each element to [-grad_clip, grad_clip].
    - "global_norm": scale all gradients by one factor so that their global norm is at most
      `grad_clip`; set them to 0, which skips the step, from `grad_norm_clip_to_zero` on.
    """
    grads, variables = zip(*gradients, strict=True)
    # The op needs another name, or TensorBoard shows the summary as "global_norm_1".
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


def evaluation_graph(config: Any) -> EvaluationGraph:
    """Build the graph of `music_vae_train.evaluate` in the default graph, with z = mu.

    Args:
      config: A Config whose model was not built yet; every batch has its `batch_size`.

    Raises:
      UsageError: the hparams do not make a model.
    """
    model = MusicVAEAtMu(config.model.encoder, config.model.decoder)
    inputs = build(model, config, is_training=False)
    updates = model.eval(**inputs)
    names = [summary.op.name for summary in tf.get_collection(tf.GraphKeys.SUMMARIES)]
    names = names[
        -len(updates) :
    ]  # scheduled sampling has a summary too, before those of the losses
    losses = dict(zip(names, updates, strict=True))
    return EvaluationGraph(inputs, model.global_step, losses, tf.local_variables_initializer())


class MusicVAEAtMu(MusicVAE):
    """A MusicVAE that decodes the mean of the posterior instead of a sample.

    This makes the losses deterministic. The KL divergence is still that of the whole posterior.
    """

    def encode(self, sequence: Any, sequence_length: Any, control_sequence: Any = None) -> Any:
        posterior = super().encode(sequence, sequence_length, control_sequence)
        posterior.sample = posterior.mean
        return posterior


def build(model: Any, config: Any, is_training: bool) -> dict[str, Any]:
    """Build the model; return placeholders with the static shapes that it needs."""
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
