"""The only module that imports TensorFlow, Keras, tf_slim, note_seq and Magenta.

Every other module takes these packages from here, so that they are always imported the one way that
works: with legacy Keras, TensorFlow 1 behaviour, and without the notices that they print. Only
NoteSequence comes from music/note_sequence.py. Bugs in these packages are worked around here and
nowhere else; each workaround gives its reason, and `tests/test_upstream.py` fails when it is no
longer needed.

Set the environment variable GROOVAE_DEBUG=1 (the flag `--debug`) to see the output of the packages.
"""

import contextlib
import ctypes
import functools
import gc
import importlib
import os
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Iterator
from typing import IO, Any

from groovae.errors import GroovaeError, missing_package
from groovae.system.atomic_files import sync
from groovae.system.checkpoint_files import checkpoint_files, remove_checkpoint
from groovae.system.temporary import temporary_folder

MAGENTA_INSTALL = "pip install --no-deps magenta==2.1.4"
DEBUG = os.environ.get("GROOVAE_DEBUG", "0") not in ("", "0")


@contextlib.contextmanager
def _silence_stderr() -> Iterator[None]:
    """Hold back what is written to stderr, also by C++, and write it only on an error.

    TensorFlow 2.21 logs before it reads TF_CPP_MIN_LOG_LEVEL, so the file descriptor itself must be
    redirected.
    """
    if DEBUG or sys.stderr is None:
        yield
        return
    with contextlib.suppress(OSError):  # such as a full disk
        sys.stderr.flush()
    terminal = os.dup(2)
    with contextlib.ExitStack() as stack:
        try:
            held_back: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        except OSError:  # there is no folder for temporary files, or its disk is full
            held_back = stack.enter_context(open(os.devnull, "w+b"))
        os.dup2(held_back.fileno(), 2)
        try:
            yield
        except GroovaeError:
            raise
        except Exception:  # not Ctrl-C, which needs no explanation
            held_back.seek(0)
            os.write(terminal, held_back.read())
            raise
        finally:
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def _prepare_environment() -> None:
    # Magenta's RNN cells and tf.layers need Keras 2. Assigned, not only set by default: a 0 that
    # another project left in the environment would break every model.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    if not DEBUG:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Only warnings of these packages: those of the user's code stay visible.
        warnings.filterwarnings("ignore", module=r"(magenta|note_seq|pydub|tf_slim|tf_keras)\b")


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "magenta":
            raise GroovaeError(f"Magenta is not installed: run `{MAGENTA_INSTALL}`") from error
        raise GroovaeError(missing_package(error.name)) from error


@contextlib.contextmanager
def _replace_module(name: str, stub: Any) -> Iterator[None]:
    """Let `import name` return `stub`, unless the real module is loaded already."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = stub
    try:
        yield
    finally:
        del sys.modules[name]


def _lazy_notebook_utils() -> types.ModuleType:
    """Return a stub that imports note_seq's notebook functions, bokeh and IPython, on first use.

    They take half a second to import.
    """
    name = "note_seq.notebook_utils"

    def lazy(function: str) -> Any:
        return lambda *args, **kwargs: getattr(_import(name), function)(*args, **kwargs)

    stub: Any = types.ModuleType(name)
    stub.play_sequence = lazy("play_sequence")
    stub.plot_sequence = lazy("plot_sequence")
    return stub


@contextlib.contextmanager
def _exclude_from_gc() -> Iterator[None]:
    """Exclude everything imported in the block from garbage collection, for good.

    Scanning half a million objects that are never freed takes half a second during the imports, and
    a second when Python exits.
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
with _silence_stderr(), _exclude_from_gc():
    # Keras imports pandas only to recognise DataFrames.
    with _replace_module("pandas", None):
        tf = _import("tensorflow.compat.v1")
        _import("tf_keras")
    tf.logging.set_verbosity(tf.logging.INFO if DEBUG else tf.logging.FATAL)
    tf.disable_v2_behavior()
    with _replace_module("note_seq.notebook_utils", _lazy_notebook_utils()):
        note_seq = _import("note_seq")
        # groovae.music.note_sequence may have loaded it before its package.
        note_seq.protobuf.music_pb2 = note_seq.music_pb2
    # tf_slim works without sklearn, which takes half a second to import.
    with _replace_module("sklearn", None):
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


# Printing graph.pbtxt takes over half a second at each start in protobuf's Python code, and a tenth
# of that in its C code, which `str` calls.
graph_io = _import("tensorflow.python.framework.graph_io")
slow_print_graph = graph_io.text_format.MessageToString
graph_io.text_format = types.SimpleNamespace(MessageToString=str)

# The timers of hooks use the time of day: after the clock was set back, no checkpoint would be
# saved until it is as late as before, and steps per second would be negative.
timers = _import("tensorflow.python.training.basic_session_run_hooks")
timers.time = types.SimpleNamespace(time=time.monotonic, sleep=time.sleep)


def keep_freed_memory() -> None:
    """Let the C library keep the memory that TensorFlow frees, for the next training step.

    glibc returns large blocks to the system at once. Getting the same pages again, zeroed one by
    one, takes a quarter of a training step of the full model.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # malloc.h
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        # Older versions allow less. If neither works, the other two options would do harm.
        if mallopt(mmap_threshold, 1 << 30) or mallopt(mmap_threshold, 1 << 25):
            mallopt(trim_threshold, -1)  # never
            mallopt(top_pad, 1 << 28)


class DurableSaver(Saver):
    """A Saver that syncs the newest checkpoint to disk before it removes an older one.

    TensorFlow leaves the new files in the system's cache, so that a power cut could lose both. It
    takes the older one's path for a glob, so that training in `runs[1]` removes files of `runs1`,
    and it removes checkpoints of other folders that the file `checkpoint` of a copied folder names.
    """

    def _MaybeDeleteOldCheckpoints(self, meta_graph_suffix: str = "meta") -> None:
        if not self._checkpoints_to_be_deleted or "://" in self.last_checkpoints[-1]:
            super()._MaybeDeleteOldCheckpoints(meta_graph_suffix)
            return
        newest = self.last_checkpoints[-1]
        folder = os.path.dirname(newest)
        for path in [*checkpoint_files(newest), folder]:
            sync(path)
        old, saved_at = self._checkpoints_to_be_deleted.pop(0)
        if saved_at > self._next_checkpoint_time:
            self._next_checkpoint_time += self.saver_def.keep_checkpoint_every_n_hours * 3600
        elif os.path.realpath(os.path.dirname(old)) == os.path.realpath(folder):
            with contextlib.suppress(OSError):  # as TensorFlow does
                remove_checkpoint(old)


# By default a while_loop runs up to 32 iterations at once. Random ops have no inputs to wait for,
# so the order in which dropout and hits are drawn would depend on the threads. In sequence, the
# same seed draws the same numbers; this is no slower, as each step needs the previous one anyway.
decoder_loop = lstm_models.contrib_seq2seq.dynamic_decode
encoder_loop = lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn
lstm_models.contrib_seq2seq.dynamic_decode = functools.partial(decoder_loop, parallel_iterations=1)
lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn = functools.partial(
    encoder_loop, parallel_iterations=1
)


def read_records(file: str) -> Iterator[bytes]:
    """Yield the records of a TFRecord file; raise a DataLossError if it is truncated.

    TensorFlow ignores up to 11 bytes at the end of a file, where the header of a record takes 12.
    """
    size, end = tf.gfile.Stat(file).length, 0
    for record in tf.python_io.tf_record_iterator(file):
        end += 12 + len(record) + 4  # length and its checksum, the record, its checksum
        yield record
    if end != size:
        raise tf.errors.DataLossError(None, None, f"truncated record at {end}")


# Magenta passes bytes to note_seq's ABC parser, which expects text.
parse_abc_text = converter_script.abc_parser.parse_abc_tunebook
converter_script.abc_parser.parse_abc_tunebook = lambda tunebook: parse_abc_text(
    tunebook.decode("utf-8", "replace")
)


def _read_musicxml(path: str) -> Any:
    """Read a MusicXML file, also `.MXL`, which Magenta passes and note_seq takes for plain XML."""
    if path.endswith(".mxl") or not path.lower().endswith(".mxl"):
        return musicxml_to_sequence(path)
    with temporary_folder() as folder:
        link = os.path.join(folder, "score.mxl")
        os.symlink(os.path.abspath(path), link)
        return musicxml_to_sequence(link)


musicxml_to_sequence = converter_script.musicxml_reader.musicxml_file_to_sequence_proto
converter_script.musicxml_reader.musicxml_file_to_sequence_proto = _read_musicxml
