"""Plays a model that was exported to ONNX, by onnxruntime: no TensorFlow, note_seq or Magenta.

    from groovae.model.onnx_network import OnnxNetwork
    network = OnnxNetwork("drums.onnx")
    mu, sigma = network.encode(inputs, controls)
    tensors, likelihoods = network.decode(mu, thresholds, controls)

It stands in for `network.TensorFlowNetwork`. A file is loaded only if it is the one that was
exported, by its SHA-256 in `config.json`, and if what it says of itself is what `config.json` says:
decoder.onnx at once, another one when it is first needed.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from groovae.config.config_file import CONFIG_FILE, check_same_model, override_hparams
from groovae.config.layout import Layout
from groovae.config.tasks import check_task
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.model.checksums import read_whole
from groovae.system.packages import need_package

# What each file tells of itself too, so that it cannot be taken for another model's.
DESCRIBED = ("config", "hparams", "data_converter", "layout", "step", "dtype")
AS_IT_IS = np.float32(1)  # a temperature: the thresholds have it


class LacksError(GroovaeError, AttributeError):
    """An exported model has nothing of Magenta's; `hasattr` says so too."""


class OnnxNetwork:
    """Encoder and decoder of an exported model.

    Attributes:
      checkpoint: The folder it was loaded from.
      about: What `config.json` there says.
      config_name: The config of the model, a key of `CONFIG_MAP`.
      layout: How the model was trained to cut a groove, and what its encoder gets to see.
      z_size: Of a latent.
    """

    def __init__(self, folder: str | os.PathLike[str], batch_size: int = 1):
        """Opens an exported model, to play so many at a time; for one at a time by one thread.

        Raises:
          GroovaeError: no exported model there, a damaged one, or onnxruntime is not installed.
        """
        self.checkpoint = str(folder)
        self._folder = Path(folder).expanduser()
        self._batch_size = batch_size
        self._sessions: dict[str, Any] = {}
        self._runtime = need_package("onnxruntime")
        self.about, self.layout = read_export(self._folder)
        self._session("decoder.onnx")  # which vouches for what config.json says
        self.config_name, self.z_size = self.about["config"], self.about["hparams"]["z_size"]

    @property
    def config(self) -> NoReturn:
        """There is none; `about` has its name and hparams."""
        self._need_checkpoint("Config")

    @property
    def trained_model(self) -> NoReturn:
        """There is none."""
        self._need_checkpoint("TrainedModel")

    def _need_checkpoint(self, what: str) -> NoReturn:
        raise LacksError(
            f"{self.checkpoint}: an exported model has no {what} of Magenta's; load the checkpoint "
            "that it was exported from"
        )

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`mu` and `sigma`, float32 [n, z_size], of `inputs` [n, steps, depth], n of 1 or more."""
        feed = {"inputs": inputs} | self._given(controls)
        mu, sigma = self._in_batches("encoder.onnx", feed)
        return mu, sigma

    def decode(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Decodes latents, a batch at a time; see `network.Network.decode`.

        Args:
          z: [n, z_size], n of 1 or more.
          thresholds: float32 [n, steps, drums]; see `latent.thresholds` and `latent.given`.
          controls: float32 [n, steps, control_depth].

        Returns:
          float32 [n, steps, depth], and how likely each hit was, float32 [n, steps, drums].

        Raises:
          GroovaeError: the model gives what is no number, or it is of other shapes.
        """
        feed = {"z": z, "noise": thresholds} | self._given(controls)
        tensors, likelihoods = self._in_batches("decoder.onnx", feed)
        if not np.isfinite(tensors).all():
            raise GroovaeError(
                f"{self.checkpoint}: the model gives values that are not numbers; "
                "its training has failed, export an older checkpoint"
            )
        return tensors, likelihoods

    def start(self, z: np.ndarray) -> np.ndarray:
        """The state [n, state_size] in which decoding of `z` [n, z_size] step by step begins."""
        return self._run("decoder_start.onnx", {"z": z})[0]

    def step(
        self,
        z: np.ndarray,
        state: np.ndarray,
        previous: np.ndarray,
        thresholds: np.ndarray,
        controls: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Decodes one step, for playing while one listens.

        Args:
          z: [n, z_size].
          state: [n, state_size], from `start`, then from the step before.
          previous: [n, depth], the tensors of the step before, zeros at first.
          thresholds: float32 [n, drums], of this step.
          controls: float32 [n, control_depth], of this step.

        Returns:
          Tensors [n, depth], the likelihoods of hits [n, drums], and the next state.
        """
        feed = {"z": z, "state": state, "previous": previous, "noise": thresholds}
        tensors, likelihoods, state = self._run("decoder_step.onnx", feed | self._given(controls))
        return tensors, likelihoods, state

    def decode_by_steps(
        self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """What `decode` gives, one step after the other."""
        state, previous = self.start(z), np.zeros((len(z), self.layout.depth), np.float32)
        steps = []
        for i in range(thresholds.shape[1]):
            previous, likelihoods, state = self.step(
                z, state, previous, thresholds[:, i], controls[:, i]
            )
            steps.append((previous, likelihoods))
        tensors, likelihoods = (np.stack(parts, axis=1) for parts in zip(*steps, strict=True))
        return tensors, likelihoods

    def _given(self, controls: np.ndarray) -> dict[str, np.ndarray]:
        return {"controls": controls} if self.layout.control_depth else {}

    def _in_batches(self, name: str, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        size, length = self._batch_size, len(next(iter(feed.values())))
        if not length:
            raise UsageError(f"{name} takes 1 or more at a time, got 0")
        batches = [
            self._run(name, {key: value[i : i + size] for key, value in feed.items()})
            for i in range(0, length, size)
        ]
        return [np.concatenate(parts) for parts in zip(*batches, strict=True)]

    def _run(self, name: str, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        session = self._session(name)
        feed = {key: np.asarray(value, np.float32) for key, value in feed.items()}
        if "noise" in feed:
            feed["temperature"] = np.asarray(AS_IT_IS)  # onnxruntime refuses a NumPy scalar
        try:
            return session.run(None, feed)
        except Exception as error:  # onnxruntime's have no base of their own
            what = " ".join(str(error).split())  # the sizes come in lines of their own
            raise GroovaeError(f"{self._folder / name}: {what}") from error

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            self._sessions[name] = self._load(name)
        return self._sessions[name]

    def _load(self, name: str) -> Any:
        path = self._folder / name
        data = read_whole(path, self.about["files"])
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        if self._batch_size == 1:
            options.intra_op_num_threads = 1  # more of them only wait for each other
        # To spin while waiting gains a tenth, and halves the speed where a core is taken.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            session = self._runtime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise GroovaeError(f"{path}: {first_line(error)}") from error
        self._check_described(path, session.get_modelmeta().custom_metadata_map)
        return session

    def _check_described(self, path: Path, metadata: dict[str, str]) -> None:
        wrong = [key for key in DESCRIBED if metadata.get(key) != as_text(self.about.get(key))]
        if wrong:
            raise GroovaeError(
                f"{path}: this is not the model that config.json beside it describes (what "
                f"differs: {', '.join(wrong)}); export it again with `groovae export`"
            )


def as_text(value: Any) -> str:
    """A value of `config.json` as the metadata of an ONNX file has it."""
    return value if isinstance(value, str) else json.dumps(value)


def open_export(
    folder: str | os.PathLike[str],
    config: str | None,
    hparams: str | Sequence[str],
    task: str | None,
    batch_size: int,
) -> OnnxNetwork:
    """An exported model that is fit for a task; see `generate.load_model`.

    Raises:
      GroovaeError: no exported model there, a damaged one, or onnxruntime is not installed.
      UsageError: `config` or `hparams` contradict it, or it is for another task.
    """
    network = OnnxNetwork(folder, batch_size)
    about = network.about
    asked = {**about, "config": config or about["config"]}
    asked["hparams"] = override_hparams(about["hparams"], hparams)
    check_same_model(about, asked, str(folder))
    if task is not None:
        check_task(task, network.config_name, str(folder))
    return network


def read_export(folder: str | os.PathLike[str]) -> tuple[dict[str, Any], Layout]:
    """What `config.json` of an exported model says, and how the model cuts a groove.

    Whether that is true shows when a file is loaded.

    Raises:
      GroovaeError: it is not there, or not one that `groovae export --format=onnx` wrote.
    """
    path = Path(folder).expanduser() / CONFIG_FILE
    try:
        about = json.loads(path.read_text("utf-8"))
        if about["format"] != "onnx":
            raise ValueError("it describes no ONNX model")
        if not isinstance(about["files"], dict):
            raise ValueError("files is no object")
        return about, _layout(about["layout"])
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        raise GroovaeError(
            f"{path}: this is not the config.json of an exported model "
            f"({type(error).__name__}: {first_line(error)}); export one with "
            "`groovae export --format=onnx --out=DIR`"
        ) from error


def _layout(values: dict[str, Any]) -> Layout:
    """A Layout that has been through JSON, where tuples become lists."""
    pitches = tuple(tuple(map(int, group)) for group in values["pitch_classes"])
    added = tuple(values["add_instruments"])
    return Layout(**(values | {"pitch_classes": pitches, "add_instruments": added}))
