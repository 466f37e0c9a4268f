"""The part of `benchmark.py` that runs in the environment of native Magenta or groovae.

    python benchmark_probe.py TASK RESULT ARGUMENTS...

Writes lines of JSON to the file RESULT. Times are on the system's monotonic clock, so that
`benchmark.py` can subtract the start time of the process. Runs with Python 3.8 too.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import sys
import time
import zlib
from collections.abc import Callable
from typing import Any


def train(report: Callable[..., None], program: str, *arguments: str) -> Any:
    """Run the training command of a program with its own arguments, and mark its phases."""

    def mark(name: str) -> None:
        report(mark=name, at=time.monotonic(), cpu=time.process_time())

    # The marks are in code that both programs share; nothing is imported earlier than they do.
    _AfterImport(
        "magenta.models.music_vae.base_model",
        lambda module: _mark_call(module.MusicVAE, "build", lambda: mark("graph"), None),
    )
    # tf_slim's loop makes one MonitoredSession; each of its runs is a step.
    _AfterImport(
        "tensorflow.python.training.monitored_session",
        lambda module: _mark_session(module._MonitoredSession, mark, ("session", "ready", "step")),
    )
    if program == "native":
        from magenta.models.music_vae import music_vae_train

        mark("imported")
        sys.argv = ["music_vae_train", *arguments]
        return music_vae_train.console_entry_point()
    _AfterImport("groovae.training.train", lambda module: mark("imported"))
    from groovae.cli.main import main

    return main(["train", *arguments])


def sample(report: Callable[..., None], program: str, *arguments: str) -> Any:
    """Run the sampling command of a program with its own arguments, and mark its phases."""

    def mark(name: str) -> None:
        report(mark=name, at=time.monotonic())

    _AfterImport(
        "magenta.models.music_vae.trained_model",
        lambda module: _mark_call(module.TrainedModel, "__init__", lambda: mark("import"), None),
    )
    _AfterImport(
        "tensorflow.python.training.saver",
        lambda module: _mark_call(
            module.Saver, "restore", lambda: mark("graph"), lambda: mark("restore")
        ),
    )
    _AfterImport(
        "tensorflow.python.client.session",
        lambda module: _mark_call(module.BaseSession, "run", None, lambda: mark("decode")),
    )
    # An exported model has no graph to build.
    _AfterImport(
        "onnxruntime.capi.onnxruntime_inference_collection",
        lambda module: _mark_session(
            module.InferenceSession, mark, ("import", "restore", "decode")
        ),
    )
    if program == "native":
        from magenta.models.music_vae import music_vae_generate

        sys.argv = ["music_vae_generate", *arguments]
        return music_vae_generate.console_entry_point()
    from groovae.cli.main import main

    return main(["sample", *arguments])


def decode(
    report: Callable[..., None],
    program: str,
    checkpoint: str,
    config: str,
    batch_size: str,
    times: str,
) -> None:
    """Time a warm model that repeatedly decodes a batch of latents to four bars each."""
    import numpy as np

    # Native samples hits in its graph, so only the share of hits can be compared. groovae's first
    # grooves after loading are the same in every process.
    z = np.random.RandomState(0).randn(int(batch_size), 256).astype(np.float32)
    if program == "native":
        decoder = _native_decoder(checkpoint, config, len(z))
    else:
        from groovae.generation.loading import load_model

        model = load_model(checkpoint, batch_size=len(z), seed=0)

        def decoder(z: Any) -> Any:
            return model.decode_to_tensors(z, bars=4, temperature=0.5)

    hits = np.asarray(decoder(z))[..., :9]  # also the warm-up
    seconds = []
    for _ in range(int(times)):
        started = time.perf_counter()
        decoder(z)
        seconds.append(time.perf_counter() - started)
    grooves = [zlib.crc32(groove.tobytes()) for groove in hits]
    report(seconds=seconds, hits=float(hits.mean()), grooves=grooves)


def _native_decoder(checkpoint: str, config: str, batch_size: int) -> Callable[[Any], Any]:
    import tensorflow.compat.v1 as tf
    from magenta.models.music_vae import TrainedModel, configs

    tf.disable_v2_behavior()
    model = TrainedModel(configs.CONFIG_MAP[config], batch_size, checkpoint)
    return lambda z: model.decode_to_tensors(z, length=64, temperature=0.5)


def convert(
    report: Callable[..., None], folder: str, output: str, config: str, workers: str
) -> None:
    """Time groovae's conversion after the imports."""
    from groovae.config import config_map
    from groovae.data.preprocess import PreprocessOptions, convert_directory

    options = PreprocessOptions(
        workers=int(workers), layout=config_map.layout(config), config=config
    )
    started = time.monotonic()
    convert_directory(folder, output, options=options)
    report(seconds=time.monotonic() - started)


def windows(report: Callable[..., None], records: str, config: str) -> None:
    """Make the windows of each record with Magenta's converter and groovae's, in turns."""
    from groovae.config import config_map
    from groovae.data.records import find
    from groovae.data.windows import to_windows

    layout = config_map.layout(config)
    converter = config_map.get_config(config).data_converter
    converter.set_mode("train")
    makers = [converter.to_tensors, lambda sequence: to_windows(sequence, layout)]
    sequences = list(find(records))
    for make in makers:
        make(sequences[0])  # the warm-up
    seconds, counts = [0.0, 0.0], {"windows": 0, "different": 0}
    for number, sequence in enumerate(sequences):
        made: list[Any] = [None, None]
        for which in (0, 1) if number % 2 else (1, 0):
            started = time.perf_counter()
            made[which] = makers[which](sequence)
            seconds[which] += time.perf_counter() - started
        counts["windows"] += len(made[0].inputs)
        counts["different"] += not _are_equal(*made)
    report(magenta=seconds[0], groovae=seconds[1], sequences=len(sequences), **counts)


def _are_equal(tensors: Any, windows: Any) -> bool:
    """Return whether Magenta's lists of tensors and groovae's arrays hold the same bytes."""
    import numpy as np

    for name in ("inputs", "outputs", "controls"):
        theirs, ours = getattr(tensors, name), getattr(windows, name)
        if len(theirs) != len(ours) or ours.dtype != np.float32:
            return False
        for their, our in zip(theirs, ours):  # noqa: B905, Python 3.8 has no strict=
            # Magenta converts to float32 when it makes batches.
            if np.asarray(their, np.float32).tobytes() != our.tobytes():
                return False
    return True


class _AfterImport(importlib.abc.MetaPathFinder):
    """Calls `then` with a module when the program has imported it."""

    def __init__(self, name: str, then: Callable[[Any], None]):
        self._name, self._then = name, then
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._name:
            return None
        spec: Any = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def execute_and_call(module: Any) -> None:
            execute(module)
            self._then(module)

        spec.loader.exec_module = execute_and_call
        return spec


def _mark_session(
    session_class: Any, mark: Callable[[str], None], names: tuple[str, str, str]
) -> None:
    """Mark the begin and end of a session's construction and the end of each `run`."""
    _mark_call(session_class, "__init__", lambda: mark(names[0]), lambda: mark(names[1]))
    _mark_call(session_class, "run", None, lambda: mark(names[2]))


def _mark_call(
    owner: Any, name: str, before: Callable[[], None] | None, after: Callable[[], None] | None
) -> None:
    call = getattr(owner, name)

    def marked(*args: Any, **kwargs: Any) -> Any:
        if before:
            before()
        result = call(*args, **kwargs)
        if after:
            after()
        return result

    setattr(owner, name, marked)


def run_task(tasks: dict[str, Any], task: str, result: str, *arguments: str) -> Any:
    """Run a task with a function that adds a line to the file `result`."""
    with open(result, "w", buffering=1, encoding="utf-8") as file:

        def report(**values: Any) -> None:
            file.write(json.dumps(values) + "\n")

        return tasks[task](report, *arguments)


if __name__ == "__main__":
    TASKS = {task.__name__: task for task in (train, sample, decode, convert, windows)}
    sys.exit(run_task(TASKS, *sys.argv[1:]))
