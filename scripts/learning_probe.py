"""The part of `compare_learning.py` that runs inside an environment: native Magenta's or groovae's.

    python learning_probe.py TASK RESULT ARGUMENTS...

writes lines of JSON to the file RESULT. Python 3.8 runs it too. Names of losses are those of
Magenta's summaries: `loss`, `losses/r_loss`, `losses/kl_bits` and so on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmark_probe import run_task

ALL_WINDOWS = 1_000_000  # or more
DRAW_SEED = 0  # of z, where the losses are means over many draws


def train(tell: Callable[..., None], program: str, seed: str, *arguments: str) -> Any:
    """Runs the training command of a program with its own arguments, and tells of each step.

    "native_shuffled" is native with a shuffle buffer that holds all windows, "native_shuffled:1"
    the same with windows that start at each bar.
    """
    program, _, hop_bars = program.partition(":")
    if program.startswith("native"):
        from magenta.models.music_vae import base_model, music_vae_train
    else:
        import groovae.upstream  # noqa: F401, I001, prepares TensorFlow for what follows
        from magenta.models.music_vae import base_model
    from tensorflow.python.training import monitored_session

    losses: dict[str, Any] = {}
    _keep_losses(base_model.MusicVAE, losses)
    _tell_steps(monitored_session._MonitoredSession, losses, tell)
    if program == "native_shuffled":
        _shuffle_all()
    if hop_bars:
        _set_hop(int(hop_bars))
    if program.startswith("native"):
        _set_seed(base_model.MusicVAE, int(seed))
        sys.argv = ["music_vae_train", *arguments]
        return music_vae_train.console_entry_point()
    from groovae.cli.main import main

    return main(["train", f"--seed={seed}", *arguments])


def _keep_losses(model_class: Any, losses: dict[str, Any]) -> None:
    """Both programs train Magenta's model: takes the tensors it summarises where it makes them."""
    compute = model_class._compute_model_loss

    def computed(self: Any, *args: Any) -> Any:
        metrics, scalars = compute(self, *args)
        losses.update(scalars)
        return metrics, scalars

    model_class._compute_model_loss = computed


def _tell_steps(session_class: Any, losses: dict[str, Any], tell: Callable[..., None]) -> None:
    """tf_slim's loop makes one MonitoredSession; each `run` of it is a step, seen from inside."""
    run = session_class.run

    def told(self: Any, fetches: Any, **kwargs: Any) -> Any:
        result, values = run(self, (fetches, losses), **kwargs)
        tell(**{name: float(value.mean()) for name, value in values.items()})
        return result

    session_class.run = told


def _set_seed(model_class: Any, seed: int) -> None:
    """Native has no flag for it: sets the seed of the graph that it is about to build."""
    import random

    import numpy as np
    import tensorflow.compat.v1 as tf

    build = model_class.build

    def built(self: Any, *args: Any, **kwargs: Any) -> Any:
        tf.set_random_seed(seed)
        return build(self, *args, **kwargs)

    model_class.build = built
    np.random.seed(seed)
    random.seed(seed)


def _shuffle_all() -> None:
    """Native's buffer is 10 batches. One of all windows makes each epoch a permutation of them."""
    import tensorflow.compat.v1 as tf

    shuffle = tf.data.Dataset.shuffle
    tf.data.Dataset.shuffle = lambda self, buffer_size, **kw: shuffle(self, ALL_WINDOWS, **kw)


def _set_hop(bars: int) -> None:
    """Sets the `hop_size` of each GrooveConverter; no flag of native's does."""
    from magenta.models.music_vae import configs

    for config in configs.CONFIG_MAP.values():
        if type(config.data_converter).__name__ == "GrooveConverter":
            config.data_converter._hop_size = bars * config.data_converter._steps_per_bar


def golden(
    tell: Callable[..., None],
    config: str,
    hparams: str,
    checkpoint: str,
    windows: str,
    records: str,
    draws: str,
) -> None:
    """Losses by native's `model.eval`, of 16 windows in an .npz and of all windows of records."""
    import numpy as np

    inputs = np.load(windows)["inputs"]
    evaluate = functools.partial(_evaluated, config, hparams, checkpoint)
    tell(name="batch_of_16", batches=evaluate([inputs]))
    tell(name="batches_of_8", batches=evaluate([inputs[:8], inputs[8:]]))
    tell(name="test_split", batches=evaluate(_batches(_windows(config, records), 16)))
    tell(name="draws", batches=evaluate([inputs] * int(draws), draw=True))


def versions(tell: Callable[..., None], *names: str) -> None:
    """The version of Python, and of packages."""
    import importlib.metadata
    import platform

    packages = {name: importlib.metadata.version(name) for name in names}
    tell(Python=platform.python_version(), **packages)


def _windows(config: str, records: str) -> Any:
    """float32 [n, steps, depth]: what native's converter makes of the records, in their order."""
    import note_seq
    import numpy as np
    import tensorflow.compat.v1 as tf
    from magenta.models.music_vae.configs import CONFIG_MAP

    converter = CONFIG_MAP[config].data_converter
    converter.set_mode("eval")
    read = map(note_seq.NoteSequence.FromString, tf.python_io.tf_record_iterator(records))
    made = [window for sequence in read for window in converter.to_tensors(sequence).outputs]
    return np.array(made, np.float32)


def _batches(windows: Any, size: int) -> list[Any]:
    """The windows in batches, of which the last one holds what is left."""
    return [windows[start : start + size] for start in range(0, len(windows), size)]


def _evaluated(
    config: str, hparams: str, checkpoint: str, batches: list[Any], draw: bool = False
) -> list[dict[str, Any]]:
    """The windows and losses of each batch, each by itself; z is mu, or drawn."""
    import itertools

    import tensorflow.compat.v1 as tf

    told = []
    for size, group in itertools.groupby(batches, len):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(DRAW_SEED)
            losses_of = _build(config, hparams, size, draw)
            tf.train.Saver(tf.global_variables()).restore(session, checkpoint)
            told += [{"windows": size, **losses_of(session, batch)} for batch in group]
    return told


def _build(
    config: str, hparams: str, size: int, draw: bool
) -> Callable[[Any, Any], dict[str, float]]:
    """Builds native's evaluation for one size of batch; returns what gives the losses of one."""
    import tensorflow.compat.v1 as tf
    from magenta.models.music_vae.configs import CONFIG_MAP

    found = CONFIG_MAP[config]
    converter, hparams_ = found.data_converter, found.hparams
    hparams_.parse(hparams)
    hparams_.batch_size = size
    model = found.model if draw else _at_mu(found.model)
    model.build(hparams_, converter.output_depth, is_training=False)
    windows = tf.placeholder(tf.float32, [size, None, converter.input_depth])
    lengths = tf.tile(tf.shape(windows)[1:2], [size])
    updates = model.eval(windows, windows, lengths)
    values = dict(_summaries(tf.get_default_graph()))
    forget = tf.local_variables_initializer()  # or means would run on from batch to batch

    def losses_of(session: Any, batch: Any) -> dict[str, float]:
        session.run(forget)
        session.run(updates, {windows: batch})
        return {name: float(value) for name, value in session.run(values).items()}

    return losses_of


def _at_mu(model: Any) -> Any:
    """The same model with z = mu in place of a draw; the KL divergence stays what it is."""
    from magenta.models.music_vae.base_model import MusicVAE

    class AtMu(MusicVAE):
        def encode(self, *args: Any, **kwargs: Any) -> Any:
            distribution = super().encode(*args, **kwargs)
            distribution.sample = distribution.mean
            return distribution

    return AtMu(model.encoder, model.decoder)


def _summaries(graph: Any) -> Iterator[tuple[str, Any]]:
    """Names and tensors of what `model.eval` shows in TensorBoard."""
    from tensorflow.python.framework.tensor_util import constant_value

    for operation in graph.get_operations():
        if operation.type == "ScalarSummary":
            tag, value = operation.inputs
            yield constant_value(tag).item().decode(), value


if __name__ == "__main__":
    TASKS = {"train": train, "golden": golden, "versions": versions}
    sys.exit(run_task(TASKS, *sys.argv[1:]))
