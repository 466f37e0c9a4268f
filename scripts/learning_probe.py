"""The part of `compare_learning.py` that runs in the environment of native Magenta or groovae.

    python learning_probe.py TASK RESULT ARGUMENTS...

Writes lines of JSON to the file RESULT. Runs with Python 3.8 too. Losses have the names of
Magenta's summaries: `loss`, `losses/r_loss`, `losses/kl_bits` and so on.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from benchmark_probe import run_task

ALL_WINDOWS = 1_000_000  # or more
SAMPLE_SEED = 0  # of z, if the losses are means over many samples


def train(report: Callable[..., None], program: str, seed: str, *arguments: str) -> Any:
    """Run the training command of a program with its own arguments, and report each step.

    "native_shuffled" is native with a shuffle buffer for all windows, "native_shuffled:1" the same
    with windows that start at each bar.
    """
    program, _, hop_bars = program.partition(":")
    if program.startswith("native"):
        from magenta.models.music_vae import base_model, music_vae_train
    else:
        import groovae.upstream  # noqa: F401, I001, sets up TensorFlow
        from magenta.models.music_vae import base_model
    from tensorflow.python.training import monitored_session

    losses: dict[str, Any] = {}
    _keep_losses(base_model.MusicVAE, losses)
    _report_steps(monitored_session._MonitoredSession, losses, report)
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
    """Keep the loss tensors of Magenta's model, which both programs train."""
    compute = model_class._compute_model_loss

    def computed(self: Any, *args: Any) -> Any:
        metrics, scalars = compute(self, *args)
        losses.update(scalars)
        return metrics, scalars

    model_class._compute_model_loss = computed


def _report_steps(session_class: Any, losses: dict[str, Any], report: Callable[..., None]) -> None:
    """Report the losses at each `run` of tf_slim's MonitoredSession, which is a step."""
    run = session_class.run

    def reported(self: Any, fetches: Any, **kwargs: Any) -> Any:
        result, values = run(self, (fetches, losses), **kwargs)
        report(**{name: float(value.mean()) for name, value in values.items()})
        return result

    session_class.run = reported


def _set_seed(model_class: Any, seed: int) -> None:
    """Set the seed of the graph that native is about to build; it has no flag for it."""
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
    """Make native's shuffle buffer, of 10 batches, hold all windows."""
    import tensorflow.compat.v1 as tf

    shuffle = tf.data.Dataset.shuffle
    tf.data.Dataset.shuffle = lambda self, buffer_size, **kw: shuffle(self, ALL_WINDOWS, **kw)


def _set_hop(bars: int) -> None:
    """Set the `hop_size` of each GrooveConverter; native has no flag for it."""
    from magenta.models.music_vae import configs

    for config in configs.CONFIG_MAP.values():
        if type(config.data_converter).__name__ == "GrooveConverter":
            config.data_converter._hop_size = bars * config.data_converter._steps_per_bar


def golden(
    report: Callable[..., None],
    config: str,
    hparams: str,
    checkpoint: str,
    windows: str,
    records: str,
    draws: str,
) -> None:
    """Report native's `model.eval` losses of 16 windows in an .npz and of a split of records."""
    import numpy as np

    inputs = np.load(windows)["inputs"]
    evaluate = functools.partial(_evaluate, config, hparams, checkpoint)
    report(name="batch_of_16", batches=evaluate([inputs]))
    report(name="batches_of_8", batches=evaluate([inputs[:8], inputs[8:]]))
    report(name="test_split", batches=evaluate(_batches(_windows(config, records), 16)))
    report(name="draws", batches=evaluate([inputs] * int(draws), sample_z=True))


def versions(report: Callable[..., None], *names: str) -> None:
    """Report the versions of Python and of packages."""
    import importlib.metadata
    import platform

    packages = {name: importlib.metadata.version(name) for name in names}
    report(Python=platform.python_version(), **packages)


def _windows(config: str, records: str) -> Any:
    """Return native's windows of the records, in order: float32 [n, steps, depth]."""
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
    """Divide the windows into batches; the last one may be smaller."""
    return [windows[start : start + size] for start in range(0, len(windows), size)]


def _evaluate(
    config: str, hparams: str, checkpoint: str, batches: list[Any], sample_z: bool = False
) -> list[dict[str, Any]]:
    """Return number of windows and losses of each batch; z is mu, or sampled."""
    import itertools

    import tensorflow.compat.v1 as tf

    results = []
    for size, group in itertools.groupby(batches, len):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(SAMPLE_SEED)
            losses_of = _build(config, hparams, size, sample_z)
            tf.train.Saver(tf.global_variables()).restore(session, checkpoint)
            results += [{"windows": size, **losses_of(session, batch)} for batch in group]
    return results


def _build(
    config: str, hparams: str, size: int, sample_z: bool
) -> Callable[[Any, Any], dict[str, float]]:
    """Build native's evaluation for a batch size; return a function from a batch to its losses."""
    import tensorflow.compat.v1 as tf
    from magenta.models.music_vae.configs import CONFIG_MAP

    found = CONFIG_MAP[config]
    converter, hparams_ = found.data_converter, found.hparams
    hparams_.parse(hparams)
    hparams_.batch_size = size
    model = found.model if sample_z else _at_mu(found.model)
    model.build(hparams_, converter.output_depth, is_training=False)
    windows = tf.placeholder(tf.float32, [size, None, converter.input_depth])
    lengths = tf.tile(tf.shape(windows)[1:2], [size])
    updates = model.eval(windows, windows, lengths)
    values = dict(_summaries(tf.get_default_graph()))
    reset = tf.local_variables_initializer()  # or means would accumulate over batches

    def losses_of(session: Any, batch: Any) -> dict[str, float]:
        session.run(reset)
        session.run(updates, {windows: batch})
        return {name: float(value) for name, value in session.run(values).items()}

    return losses_of


def _at_mu(model: Any) -> Any:
    """Return the model with z = mu instead of a sample; the KL divergence is unchanged."""
    from magenta.models.music_vae.base_model import MusicVAE

    class AtMu(MusicVAE):
        def encode(self, *args: Any, **kwargs: Any) -> Any:
            distribution = super().encode(*args, **kwargs)
            distribution.sample = distribution.mean
            return distribution

    return AtMu(model.encoder, model.decoder)


def _summaries(graph: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and tensors of the scalars that `model.eval` summarises."""
    from tensorflow.python.framework.tensor_util import constant_value

    for operation in graph.get_operations():
        if operation.type == "ScalarSummary":
            tag, value = operation.inputs
            yield constant_value(tag).item().decode(), value


if __name__ == "__main__":
    TASKS = {"train": train, "golden": golden, "versions": versions}
    sys.exit(run_task(TASKS, *sys.argv[1:]))
