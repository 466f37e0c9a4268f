"""The only door to TensorFlow, Keras, tf_slim, note_seq and Magenta.

Every other module takes these packages from here, so that they are always imported in the one way
that works: legacy Keras, TensorFlow 1 behaviour, and without the pages of notices they print. What
is broken in them is worked around here, and only here; each workaround says why it exists, and
`tests/test_upstream.py` fails when upstream no longer needs it.

Set the environment variable GROOVAE_DEBUG=1 (the flag `--debug`) to see all that upstream prints.
"""

import contextlib
import importlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

from groovae.errors import GroovaeError

MAGENTA_INSTALL = "pip install --no-deps magenta==2.1.4"
DEBUG = os.environ.get("GROOVAE_DEBUG", "0") not in ("", "0")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Holds back what is printed to stderr, C++ notices included, and shows it only on an error.

    TensorFlow 2.21 writes some notices before it reads TF_CPP_MIN_LOG_LEVEL, so nothing short of
    the file descriptor stops them.
    """
    if DEBUG:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except BaseException:
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def _prepare_environment() -> None:
    # Magenta's RNN cells and tf.layers live in Keras 2. Assigned, not defaulted: with a 0 left
    # over from another project nothing works.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    if not DEBUG:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Only these packages' own warnings: what the user's code warns of stays visible.
        warnings.filterwarnings("ignore", module=r"(magenta|note_seq|pydub|tf_slim|tf_keras)\b")


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "magenta":
            raise GroovaeError(f"Magenta is not installed: run `{MAGENTA_INSTALL}`") from error
        raise GroovaeError(
            f"the package {error.name} is not installed: run `pip install groovae` again"
        ) from error


_prepare_environment()
with _silence():
    tf = _import("tensorflow.compat.v1")
    tf.logging.set_verbosity(tf.logging.INFO if DEBUG else tf.logging.ERROR)
    tf.disable_v2_behavior()
    note_seq = _import("note_seq")
    tf_slim = _import("tf_slim")
    magenta_configs = _import("magenta.models.music_vae.configs")
    magenta_data = _import("magenta.models.music_vae.data")
    lstm_models = _import("magenta.models.music_vae.lstm_models")
    merge_hparams = _import("magenta.common").merge_hparams
    TrainedModel = _import("magenta.models.music_vae.trained_model").TrainedModel
    converter_script = _import("magenta.scripts.convert_dir_to_note_sequences")

MusicVAE: Any = magenta_configs.MusicVAE


def unbatch(dataset: Any) -> Any:
    """`dataset.unbatch()`, which crashes the process where a tensor has depth 0.

    GrooVAE's control tensor has depth 0, so Magenta's own `data.get_dataset` dies with SIGSEGV on
    TensorFlow 2.13 to 2.21.
    """
    return dataset.flat_map(lambda *tensors: tf.data.Dataset.from_tensor_slices(tensors))


class SeededMusicVAE(MusicVAE):
    """A MusicVAE whose hits can be drawn again.

    `TrainedModel` makes its graph for itself and gives it no seed, so that the Bernoulli draws of
    the hits differ from run to run. The model is built inside of that graph: the place to set it.
    """

    def __init__(self, model: Any, seed: int):
        super().__init__(model.encoder, model.decoder)
        self._seed = seed

    def build(self, hparams: Any, output_depth: int, is_training: bool) -> None:
        tf.set_random_seed(self._seed)
        super().build(hparams, output_depth, is_training)


def _parse_abc_bytes(parse: Any) -> Any:
    """Magenta hands note_seq's ABC parser bytes, which it cannot read: no ABC file converts."""

    def parse_text(tunebook: bytes) -> Any:
        return parse(tunebook.decode("utf-8", "replace"))

    return parse_text


parse_abc_text = converter_script.abc_parser.parse_abc_tunebook
converter_script.abc_parser.parse_abc_tunebook = _parse_abc_bytes(parse_abc_text)
