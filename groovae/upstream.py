"""The only door to TensorFlow, Keras, tf_slim, note_seq and Magenta.

Every other module takes these packages from here, so that they are always imported in the one way
that works: legacy Keras, TensorFlow 1 behaviour, and without the pages of notices they print. Only
NoteSequence comes from music/note_sequence.py. What is broken in them is worked around here, and
only here; each workaround says why it exists, and `tests/test_upstream.py` fails when upstream no
longer needs it.

Set the environment variable GROOVAE_DEBUG=1 (the flag `--debug`) to see all that upstream prints.
"""

import contextlib
import ctypes
import functools
import gc
import importlib
import os
import sys
import tempfile
import types
import warnings
from collections.abc import Iterator
from typing import Any

from groovae.errors import GroovaeError, missing_package
from groovae.system.atomic_files import sync

MAGENTA_INSTALL = "pip install --no-deps magenta==2.1.4"
DEBUG = os.environ.get("GROOVAE_DEBUG", "0") not in ("", "0")


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Holds back what is printed to stderr, C++ notices included, and shows it only on an error.

    TensorFlow 2.21 writes some notices before it reads TF_CPP_MIN_LOG_LEVEL, so nothing short of
    the file descriptor stops them.
    """
    if DEBUG or sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held_back:
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except GroovaeError:
            raise
        except Exception:  # Not Ctrl-C, which has nothing to explain.
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
        raise GroovaeError(missing_package(error.name)) from error


@contextlib.contextmanager
def _in_place_of(name: str, stand_in: Any) -> Iterator[None]:
    """Who imports the module `name` meanwhile gets `stand_in`, unless the real one is there."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


def _notebooks() -> types.ModuleType:
    """note_seq shows sequences in notebooks by bokeh and IPython: half a second, if not put off."""
    name = "note_seq.notebook_utils"

    def put_off(function: str) -> Any:
        return lambda *args, **kwargs: getattr(_import(name), function)(*args, **kwargs)

    stand_in: Any = types.ModuleType(name)
    stand_in.play_sequence = put_off("play_sequence")
    stand_in.plot_sequence = put_off("plot_sequence")
    return stand_in


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Leaves out of garbage collection, for good, what is imported meanwhile.

    It is half a million objects that stay to the end. To look through them again and again takes
    half a second while they come, and a whole one when Python ends.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


_prepare_environment()
with _silence(), _uncollected():
    with _in_place_of("pandas", None):  # which Keras only asks whether its input is one of
        tf = _import("tensorflow.compat.v1")
        _import("tf_keras")
    tf.logging.set_verbosity(tf.logging.INFO if DEBUG else tf.logging.FATAL)
    tf.disable_v2_behavior()
    with _in_place_of("note_seq.notebook_utils", _notebooks()):
        note_seq = _import("note_seq")
        note_seq.protobuf.music_pb2 = (
            note_seq.music_pb2
        )  # which groovae.music.note_sequence may have loaded
    with _in_place_of("sklearn", None):  # tf_slim does without it, as we do: another half second
        tf_slim = _import("tf_slim")
    magenta_configs = _import("magenta.models.music_vae.configs")
    magenta_data = _import("magenta.models.music_vae.data")
    lstm_models = _import("magenta.models.music_vae.lstm_models")
    merge_hparams = _import("magenta.common").merge_hparams
    TrainedModel = _import("magenta.models.music_vae.trained_model").TrainedModel
    converter_script = _import("magenta.scripts.convert_dir_to_note_sequences")

MusicVAE: Any = magenta_configs.MusicVAE
Saver: Any = tf.train.Saver
tfds: Any = magenta_data.tfds  # TensorFlow Datasets


# graph.pbtxt as Python prints it takes over half a second of each start; as C does, a tenth.
graph_io = _import("tensorflow.python.framework.graph_io")
print_graph = graph_io.text_format.MessageToString
graph_io.text_format = types.SimpleNamespace(MessageToString=str)


def keep_freed_memory() -> None:
    """Makes the C library keep the memory that TensorFlow frees, for the next step to use.

    glibc gives large blocks back to the system at once, and each step begins by getting the same
    pages again, emptied, one by one, which takes a quarter of a step of the full model.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        # Older ones allow less; without any of it, the others would only make things worse.
        if mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25):
            mallopt(trim_threshold, -1)  # never
            mallopt(top_pad, 1 << 28)


class DurableSaver(Saver):
    """A Saver whose newest checkpoint is on the disk before an older one is removed.

    TensorFlow leaves it to the system's cache, so that a power cut can take the new one when the
    old one is gone already.
    """

    def _MaybeDeleteOldCheckpoints(self, meta_graph_suffix: str = "meta") -> None:
        if self._checkpoints_to_be_deleted and "://" not in self.last_checkpoints[-1]:
            folder, name = os.path.split(self.last_checkpoints[-1])
            written = [file for file in os.listdir(folder) if file.startswith(f"{name}.")]
            for path in [*(os.path.join(folder, file) for file in written), folder]:
                sync(path)
        super()._MaybeDeleteOldCheckpoints(meta_graph_suffix)


def _step_by_step(rnn_loop: Any) -> Any:
    """An RNN loop whose steps run in order, so that the same seed draws the same numbers.

    By default 32 steps of a while_loop may run at once. A random op waits for nothing, so that each
    step's dropout and hits are drawn in whatever order the threads come by. The steps themselves
    depend on each other, so nothing gets slower.
    """
    return functools.partial(rnn_loop, parallel_iterations=1)


decoder_loop = lstm_models.contrib_seq2seq.dynamic_decode
encoder_loop = lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn
lstm_models.contrib_seq2seq.dynamic_decode = _step_by_step(decoder_loop)
lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn = _step_by_step(encoder_loop)


def read_records(file: str) -> Iterator[bytes]:
    """Yields the records of a TFRecord file.

    TensorFlow takes a file that ends within the 12 bytes ahead of a record for a whole one, and
    any file of less than 12 bytes for one without records.
    """
    size, end = tf.gfile.Stat(file).length, 0
    for record in tf.python_io.tf_record_iterator(file):
        end += 12 + len(record) + 4  # length and its checksum, the record, its checksum
        yield record
    if end != size:
        raise tf.errors.DataLossError(None, None, f"truncated record at {end}")


def _parse_abc_bytes(parse: Any) -> Any:
    """Magenta hands note_seq's ABC parser bytes, which it cannot read: no ABC file converts."""

    def parse_text(tunebook: bytes) -> Any:
        return parse(tunebook.decode("utf-8", "replace"))

    return parse_text


parse_abc_text = converter_script.abc_parser.parse_abc_tunebook
converter_script.abc_parser.parse_abc_tunebook = _parse_abc_bytes(parse_abc_text)


def _read_mxl_of_any_case(read: Any) -> Any:
    """note_seq takes `.MXL`, which Magenta hands it, for plain XML."""

    def read_musicxml(path: str) -> Any:
        if path.endswith(".mxl") or not path.lower().endswith(".mxl"):
            return read(path)
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, "score.mxl")
            os.symlink(os.path.abspath(path), link)
            return read(link)

    return read_musicxml


musicxml_to_sequence = converter_script.musicxml_reader.musicxml_file_to_sequence_proto
converter_script.musicxml_reader.musicxml_file_to_sequence_proto = _read_mxl_of_any_case(
    musicxml_to_sequence
)
