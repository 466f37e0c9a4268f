"""TFRecord files of music: which ones a path names, and the NoteSequences in them.

Two kinds are read alike: files of serialized NoteSequences, as `groovae preprocess` writes them,
and those of a TensorFlow Datasets (TFDS) set such as `groove/4bar-midionly`, whose examples hold
MIDI files. Either way the files are local or whatever else TensorFlow can open (gs://...).
"""

import collections
import contextlib
import functools
import glob
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError

from groovae.errors import GroovaeError, UsageError, first_line
from groovae.music.midi_reader import BrokenMidi, TooMuch, read_midi
from groovae.music.note_sequence import NoteSequence
from groovae.system.atomic_files import finish_interrupted
from groovae.system.workers import Lost, available_cores, ordered_map
from groovae.upstream import read_records, tf, tfds

CHUNK_RECORDS = 64
CHUNK_BYTES = 1 << 20
READ_BYTES = 1 << 20
SHARD = re.compile(r"(?P<set>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})")
# What lies beside records under their name: reports, and windows made from them.
NOT_RECORDS = re.compile(r"\..*|.*\.report\.json|.*\.windows-\w+\.npy")


@dataclass(frozen=True)
class Examples:
    """Records to make windows of.

    Attributes:
      name: What the user calls them: a path, a glob, or the name of a TFDS set.
      files: The files, in the order in which they are read.
      parse: Gives the NoteSequence of one record; raises DecodeError where it is none.
    """

    name: str
    files: tuple[str, ...]
    parse: Callable[[bytes], Any]

    def __iter__(self) -> Iterator[Any]:
        """The NoteSequences, one by one.

        Raises:
          GroovaeError: a file is damaged, or holds something else.
        """
        for chunk in self._chunks():
            yield from _sequences(self, chunk)

    def map(self, function: Callable[[Any], Any], workers: int | None = None) -> Iterator[Any]:
        """Yields `function(sequence)` for each NoteSequence in order, computed on all cores.

        Raises:
          GroovaeError: as above, or a worker process was killed.
          Whatever `function` raises.
        """

        def work(chunk: _Chunk) -> list[Any]:
            return [function(sequence) for sequence in _sequences(self, chunk)]

        at_work: collections.deque[str] = collections.deque()

        def chunks() -> Iterator[_Chunk]:
            for chunk in self._chunks():
                last = chunk.first + len(chunk.records) - 1
                at_work.append(f"{chunk.file}: records {chunk.first:,} to {last:,}")
                yield chunk

        for results in ordered_map(work, chunks(), workers or available_cores()):
            where = at_work.popleft()
            if isinstance(results, Lost):
                raise GroovaeError(f"{where}: {results.reason}")
            yield from results

    def digest(self) -> str:
        """A SHA-256 of all the bytes of all the files."""
        digest = hashlib.sha256()
        for file in self.files:
            with _naming(file), tf.gfile.GFile(file, "rb") as opened:
                digest.update(tf.gfile.Stat(file).length.to_bytes(8, "big"))
                while data := opened.read(READ_BYTES):
                    digest.update(data)
        return digest.hexdigest()

    def _chunks(self) -> Iterator["_Chunk"]:
        for file in self.files:
            chunk, size = _Chunk(file, 0, []), 0
            for record in _records(file):
                chunk.records.append(record)
                size += len(record)
                if len(chunk.records) == CHUNK_RECORDS or size >= CHUNK_BYTES:
                    yield chunk
                    chunk, size = _Chunk(file, chunk.first + len(chunk.records), []), 0
            if chunk.records:
                yield chunk


@dataclass(frozen=True)
class _Chunk:
    """Some records of a file, the first of which is its record number `first`."""

    file: str
    first: int
    records: list[bytes]


def find(examples_path: str | os.PathLike[str]) -> Examples:
    """The NoteSequence records that a path names: a file, or a glob of files, such as of shards.

    Raises:
      GroovaeError: no file matches, or shards are missing.
    """
    path = os.path.expanduser(examples_path)
    _finish_interrupted(path)
    with _naming(path):
        # A file's own name comes first: `take[1].tfrecord`, as a glob, would not match itself.
        if tf.gfile.Exists(path):
            return Examples(path, (path,), _note_sequence)
        files = [
            file
            for file in sorted(tf.gfile.Glob(path))
            if not NOT_RECORDS.fullmatch(os.path.basename(file)) and not tf.gfile.IsDirectory(file)
        ]
        if not files:
            raise GroovaeError(f"{path}: no such file; {_hint(path)}")
    _check_shards(path, files)
    return Examples(path, tuple(files), _note_sequence)


def from_tfds(name: str, data_dir: str | None = None, split: str = "train") -> Examples:
    """The MIDI files of a TensorFlow Datasets set, which is fetched where it is not there yet.

    Args:
      name: Such as `groove/4bar-midionly`.
      data_dir: Where TFDS keeps its sets; `~/tensorflow_datasets` by default.
      split: `train`, `validation` or `test`.

    Raises:
      UsageError: TFDS knows no such set, or it has no such split or no MIDI.
      GroovaeError: it cannot be fetched.
    """
    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS has its own for each of a dozen reasons.
        raise UsageError(f"--tfds_name={name}: {first_line(error)}") from error
    if "midi" not in builder.info.features:
        raise UsageError(f"--tfds_name={name}: this set has no feature 'midi'")
    try:
        if split not in builder.info.splits:
            builder.download_and_prepare()
    except Exception as error:
        raise GroovaeError(
            f"{name} is not in {builder.data_dir} and cannot be fetched: {first_line(error)}"
        ) from error
    if split not in builder.info.splits:
        raise UsageError(f"--tfds_name={name}: this set has no split {split!r}")
    files = tuple(str(file) for file in builder.info.splits[split].filepaths)
    return Examples(f"{name} ({split})", files, functools.partial(_midi_of_example, name))


def _finish_interrupted(path: str) -> None:
    folder = os.path.dirname(path) or "."
    if not glob.has_magic(folder) and os.path.isdir(folder):
        finish_interrupted(folder)


def _hint(path: str) -> str:
    shards = sorted(tf.gfile.Glob(f"{glob.escape(path)}-?????-of-?????"))
    if shards:
        return f"there are shards of it: take '{path}-*'"
    return f"make it with `groovae preprocess DIR {path}`"


def _check_shards(path: str, files: list[str]) -> None:
    """Half a set of shards, or two sets at once, is never what was meant."""
    shards = [shard for shard in map(SHARD.fullmatch, files) if shard]
    counts = {(shard["set"], int(shard["count"])) for shard in shards}
    for name, count in sorted(counts):
        found = sum((s["set"], int(s["count"])) == (name, count) for s in shards)
        if found != count:
            raise GroovaeError(f"{path}: {found} of {count} shards of {name} are there")
        if sum(other == name for other, _ in counts) > 1 or name in files:
            raise GroovaeError(
                f"{path}: there are several sets of records of {name}; "
                f"name one, such as '{name}-*-of-{count:05}'"
            )


def _records(file: str) -> Iterator[bytes]:
    count = 0
    try:
        for record in read_records(file):
            yield record
            count += 1
    except tf.errors.OpError as error:
        raise _damaged(file, count, error) from error


def _sequences(examples: Examples, chunk: _Chunk) -> Iterator[Any]:
    for number, record in enumerate(chunk.records, start=chunk.first):
        try:
            sequence = examples.parse(record)
        except DecodeError as error:
            raise _damaged(chunk.file, number, error) from error
        yield sequence


def _damaged(file: str, count: int, error: Exception) -> GroovaeError:
    return GroovaeError(
        f"{file}: damaged after record {count:,}, or not a TFRecord of NoteSequences "
        f"({first_line(error)}); make it again with `groovae preprocess`"
    )


def _note_sequence(record: bytes) -> Any:
    sequence = NoteSequence.FromString(record)
    # Other messages parse too: a tf.train.Example is taken for an id, most are of no known field.
    if record and {field.name for field, _ in sequence.ListFields()} <= {"id", "filename"}:
        raise DecodeError("it holds no music")
    return sequence


def _midi_of_example(name: str, record: bytes) -> Any:
    """The NoteSequence of a tf.train.Example with a MIDI file, as Magenta reads it from TFDS."""
    feature = tf.train.Example.FromString(record).features.feature
    try:
        sequence = read_midi(feature["midi"].bytes_list.value[0])
    except (IndexError, TooMuch, BrokenMidi) as error:
        raise DecodeError(f"it holds no MIDI file: {first_line(error)}") from error
    ids = feature["id"].bytes_list.value
    sequence.id = f"/tfds/{name}/{ids[0].decode('utf-8', 'replace')}" if ids else f"/tfds/{name}"
    return sequence


@contextlib.contextmanager
def _naming(file: str) -> Iterator[None]:
    """Turns TensorFlow's errors about a file into one that names it."""
    try:
        yield
    except tf.errors.OpError as error:
        raise GroovaeError(f"cannot read {file}: {first_line(error)}") from error
