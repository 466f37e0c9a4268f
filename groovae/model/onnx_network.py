"""Inference with a model exported to ONNX, by onnxruntime: no TensorFlow, note_seq or Magenta.

    from groovae.model.onnx_network import OnnxNetwork
    network = OnnxNetwork("drums.onnx")
    mu, sigma = network.encode(inputs, controls)
    tensors, likelihoods = network.decode(mu, thresholds, controls)

An ONNX file is loaded when it is first needed, and only if its SHA-256 and its metadata match
`config.json`, and it has only the operators of exports. decoder.onnx is loaded at once.
"""

import atexit
import functools
import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config.config_file import CONFIG_FILE, check_same_model, override_hparams
from groovae.config.description import (
    HPARAMS,
    OWN_HPARAMS,
    check_description,
    check_hparams,
    check_layout,
)
from groovae.config.layout import Layout
from groovae.config.tasks import check_task
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.model.checksums import read_verified
from groovae.model.network import Decoded, check_finite, in_batches
from groovae.model.onnx_operators import check_graph
from groovae.system.packages import need_package
from groovae.system.regular_files import read_json

# Keys of config.json that the metadata of each ONNX file repeats, to detect another model's file.
METADATA_KEYS = ("config", "hparams", "data_converter", "layout", "step", "dtype")
# Keys that exports of earlier versions lack.
NEW_METADATA_KEYS = ("meter", "drum_map")

WHOLE_WINDOWS = ("encoder.onnx", "decoder.onnx")
SINGLE_THREAD_BATCH = 16
STOP_SECONDS = 0.5  # which the next node of a graph takes to notice
MAX_MEMORY_BYTES = 2 << 30  # of all models in a process; an ONNX file is no larger

Shape = tuple[int, ...]


class OnnxNetwork:
    """Encoder and decoder of an exported model; see `groovae.model.network.Network`.

    Attributes:
      checkpoint: The folder it was loaded from.
      metadata: The contents of `config.json` in the folder.
      config_name, layout, z_size, drum_map, hparams: See `Network`.
    """

    def __init__(self, folder: str | os.PathLike[str], batch_size: int = 1):
        """Open an exported model, to run `batch_size` windows at a time.

        Raises:
          GroovaeError: no exported model there, a damaged one, or onnxruntime is not installed.
        """
        self.checkpoint = str(folder)
        self._folder = Path(folder).expanduser()
        self._batch_size = batch_size
        self._sessions: dict[str, Any] = {}
        self._runtime = need_package("onnxruntime")
        self.metadata, self.layout = read_export(self._folder)
        self._session("decoder.onnx")  # whose metadata must be that of config.json
        self.config_name: str = self.metadata["config"]
        self.hparams: dict[str, Any] = self.metadata["hparams"]
        self.z_size: int = self.hparams["z_size"]
        self._state_size = 2 * sum(self.hparams["dec_rnn_size"])
        has_drum_map = self.metadata.get("drum_map") is not None
        self.drum_map = self.layout.pitch_classes if has_drum_map else None

    def fingerprint(self) -> str:
        return export_fingerprint(self.metadata)

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        latents = (self.z_size,)
        mu, sigma = self._run_in_batches(
            "encoder.onnx", [latents, latents], inputs=inputs, controls=controls
        )
        return mu, sigma

    def decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Decoded:
        steps = thresholds.shape[1]
        tensors, likelihoods = self._run_in_batches(
            "decoder.onnx",
            [(steps, self.layout.depth), (steps, self.layout.num_drums)],
            z=z,
            noise=thresholds,
            controls=controls,
        )
        check_finite(tensors, self.checkpoint)
        return tensors, likelihoods

    def start(self, z: np.ndarray) -> np.ndarray:
        """Return the decoder's initial state [n, state_size] for `z` [n, z_size]."""
        return self._run("decoder_start.onnx", [(self._state_size,)], z=z)[0]

    def step(
        self,
        z: np.ndarray,
        state: np.ndarray,
        previous: np.ndarray,
        thresholds: np.ndarray,
        controls: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decode a single step, for real-time use.

        Args:
          z: [n, z_size].
          state: [n, state_size], from `start`, then from the previous step.
          previous: [n, depth], the tensors of the previous step, zeros at first.
          thresholds: float32 [n, drums], of this step.
          controls: float32 [n, control_depth], of this step.

        Returns:
          Tensors [n, depth], the likelihoods of hits [n, drums], and the next state.
        """
        feed = {"z": z, "state": state, "previous": previous, "noise": thresholds}
        shapes = [(self.layout.depth,), (self.layout.num_drums,), (self._state_size,)]
        tensors, likelihoods, state = self._run(
            "decoder_step.onnx", shapes, controls=controls, **feed
        )
        return tensors, likelihoods, state

    def decode_by_steps(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> Decoded:
        """Return the same as `decode`, decoded by `step`."""
        state, previous = self.start(z), np.zeros((len(z), self.layout.depth), np.float32)
        steps = []
        for i in range(thresholds.shape[1]):
            previous, likelihoods, state = self.step(
                z, state, previous, thresholds[:, i], controls[:, i]
            )
            steps.append((previous, likelihoods))
        tensors, likelihoods = (np.stack(parts, axis=1) for parts in zip(*steps, strict=True))
        return tensors, likelihoods

    def _run_in_batches(
        self, name: str, shapes: Sequence[Shape], **feed: np.ndarray
    ) -> list[np.ndarray]:
        if not len(next(iter(feed.values()))):
            raise UsageError(f"{name} takes 1 or more at a time, got 0")

        def run(*arrays: np.ndarray) -> list[np.ndarray]:
            return self._run(name, shapes, **dict(zip(feed, arrays, strict=True)))

        return in_batches(run, self._batch_size, *feed.values())

    def _run(self, name: str, shapes: Sequence[Shape], **feed: np.ndarray) -> list[np.ndarray]:
        """Run a model once; `shapes` are those of the outputs, for one of the batch."""
        session = self._session(name)
        if not self.layout.control_depth:
            feed.pop("controls", None)
        feed = {key: np.asarray(value, np.float32) for key, value in feed.items()}
        if "noise" in feed:  # thresholds, which the temperature has scaled already
            feed["temperature"] = np.ones((), np.float32)
        try:
            if name in WHOLE_WINDOWS:
                options = self._runtime.RunOptions()
                outputs = _stoppable(session.run, None, feed, options, stop=options)
            else:  # in half the time, for real-time use
                outputs = session.run(None, feed)
        except Exception as error:  # onnxruntime's exceptions have no common base class
            reason = " ".join(str(error).split())  # on one line
            raise GroovaeError(f"{self._folder / name}: {reason}") from error
        batch_size = len(next(iter(feed.values())))
        found = [(np.shape(output), getattr(output, "dtype", None)) for output in outputs]
        expected = [((batch_size, *shape), np.float32) for shape in shapes]
        if found != expected:
            raise GroovaeError(
                f"{self._folder / name}: its outputs have the shapes {_format(found)} instead of "
                f"{_format(expected)}; export it again with `groovae export`"
            )
        return outputs

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            self._sessions[name] = self._load(name)
        return self._sessions[name]

    def _load(self, name: str) -> Any:
        path = self._folder / name
        data = read_verified(path, self.metadata["files"])
        try:
            check_graph(data)
        except ValueError as error:
            raise GroovaeError(
                f"{path}: not a graph that groovae exports: {error}; export it again with "
                "`groovae export`"
            ) from error
        _limit_memory(self._runtime)
        options = self._runtime.SessionOptions()
        options.log_severity_level = 4  # errors are raised as well
        options.add_session_config_entry("session.use_env_allocators", "1")
        if self._batch_size <= SINGLE_THREAD_BATCH:
            options.intra_op_num_threads = 1  # more threads only wait for each other
        # Spinning gains a tenth on an idle machine, and halves the speed on a busy one.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = _stoppable(
                self._runtime.InferenceSession, data, options, ["CPUExecutionProvider"]
            )
        except Exception as error:
            raise GroovaeError(f"{path}: {first_line(error)}") from error
        found = session.get_modelmeta().custom_metadata_map
        keys = (*METADATA_KEYS, *(key for key in NEW_METADATA_KEYS if key in found))
        expected = {key: metadata_value(self.metadata.get(key)) for key in keys}
        if wrong := [key for key in keys if found.get(key) != expected[key]]:
            raise GroovaeError(
                f"{path}: this is not the model that config.json describes (differing: "
                f"{', '.join(wrong)}); export it again with `groovae export`"
            )
        return session


def _stoppable(function: Callable[..., Any], *arguments: Any, stop: Any = None) -> Any:
    """Call a function of onnxruntime in a thread, so that Ctrl-C ends the wait for it.

    Args:
      function: The function.
      arguments: Its arguments.
      stop: RunOptions whose `terminate` is set then; to load a model cannot be stopped.
    """
    result: Future[Any] = Future()

    def run() -> None:
        try:
            result.set_result(function(*arguments))
        except BaseException as error:
            result.set_exception(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        return result.result()
    except KeyboardInterrupt:
        if stop is not None:
            stop.terminate = True
        thread.join(STOP_SECONDS)
        atexit.register(_exit_beside, thread)
        raise


def _exit_beside(thread: threading.Thread) -> None:
    """End the process at once if the thread runs, whose C++ would abort it otherwise."""
    if thread.is_alive():
        os._exit(130)


@functools.cache
def _limit_memory(runtime: Any) -> None:
    """Limit the memory of all models in this process: a small graph can ask for any amount."""
    info = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    config = runtime.OrtArenaCfg({"max_mem": MAX_MEMORY_BYTES})
    runtime.create_and_register_allocator(info, config)


def _format(outputs: Sequence[tuple[Shape, Any]]) -> str:
    return ", ".join(f"{np.dtype(dtype)} {list(shape)}" for shape, dtype in outputs)


def export_fingerprint(metadata: dict[str, Any]) -> str:
    """Return `Network.fingerprint` of an exported model, from its `config.json`."""
    sums = [metadata["files"].get(name) for name in ("encoder.onnx", "decoder.onnx")]
    return hashlib.sha256(json.dumps(sums, sort_keys=True).encode()).hexdigest()


def metadata_value(value: Any) -> str:
    """Return a value of `config.json` as stored in the metadata of an ONNX file."""
    return value if isinstance(value, str) else json.dumps(value)


def load_export(
    folder: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> OnnxNetwork:
    """Open an exported model for a task; see `loading.load_model` for the arguments.

    Raises:
      GroovaeError: no exported model there, a damaged one, or onnxruntime is not installed.
      UsageError: `config` or `hparams` contradict it, or it is for another task.
    """
    network = OnnxNetwork(folder, batch_size)
    saved = network.metadata
    known = {name: saved["hparams"].get(name, OWN_HPARAMS.get(name)) for name in HPARAMS}
    asked_hparams = saved["hparams"] | override_hparams(known, hparams)
    asked = {**saved, "config": config or saved["config"], "hparams": asked_hparams}
    check_same_model(saved, asked, str(folder))
    if task is not None:
        check_task(task, network.config_name, network.layout, str(folder))
    return network


def read_export(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], Layout]:
    """Return the contents of an export's `config.json`, and its layout.

    Raises:
      GroovaeError: it is missing, or was not written by `groovae export --format=onnx`.
    """
    path = Path(folder).expanduser() / CONFIG_FILE
    try:
        metadata = read_json(path)
        check_description(metadata)
        check_hparams(metadata["hparams"])
        if metadata.get("format") != "onnx":
            raise ValueError("its format is not onnx")
        if missing := {"files", "layout", "step", "dtype"} - metadata.keys():
            raise ValueError(f"{min(missing)} is missing")
        return metadata, check_layout(metadata["layout"])
    except (OSError, ValueError) as error:
        raise GroovaeError(
            f"{path}: this is not the config.json of an exported model ({first_line(error)}); "
            "export one with `groovae export --format=onnx --out=DIR`"
        ) from error
