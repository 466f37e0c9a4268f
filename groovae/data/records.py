"""Find TFRecord files of music, and read the NoteSequences in them.

The files hold serialized NoteSequences, as `groovae preprocess` writes them, or examples with MIDI
files, as a TensorFlow Datasets (TFDS) set such as `groove/4bar-midionly`. They may be local or at
any address that TensorFlow opens (gs://...); only these and TFDS sets need TensorFlow.
"""

import contextlib
import functools
import glob
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from google.protobuf.message import DecodeError

from groovae.data import tfrecord
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.music.midi_magenta import read_magenta
from groovae.music.midi_reader import BrokenMidi
from groovae.music.note_sequence import NoteSequence
from groovae.system.atomic_files import check_complete
from groovae.system.regular_files import open_regular
from groovae.system.workers import Lost, available_cores, ordered_map

CHUNK_RECORDS = 64
CHUNK_BYTES = 1 << 20
READ_BYTES = 1 << 20
SHARD = re.compile(r"(?P<set>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})")
# Files beside records, with their name: reports and cached windows.
NOT_RECORDS = re.compile(r"\..*|.*\.report\.json|.*\.windows-\w+\.npy")


@dataclass(frozen=True)
class Examples:
    """A set of records, in a fixed order.

    Attributes:
      name: The path, glob or TFDS set that the user named.
      files: The files, in the order in which they are read.
      parse: Converts a record to a NoteSequence; raises DecodeError if it is not music.
    """

    name: str
    files: tuple[str, ...]
    parse: Callable[[bytes], Any]

    def __iter__(self) -> Iterator[Any]:
        """Yield the NoteSequences.

        Raises:
          GroovaeError: a file is damaged, or holds other records.
        """
        for chunk in self._chunks():
            yield from _sequences(self, chunk)

    def map(self, function: Callable[[Any], Any], workers: int | None = None) -> Iterator[Any]:
        """Yield `function(sequence)` for each NoteSequence in order, computed in processes.

        Args:
          function: May be any callable, since the processes are forked.
          workers: Number of processes; all cores by default.

        Raises:
          GroovaeError: as above, or a worker process was killed.
          Exception: any error that `function` raises.
        """

        def work(chunk: _Chunk) -> list[Any]:
            return [function(sequence) for sequence in _sequences(self, chunk)]

        chunks, at_work = itertools.tee(self._chunks())
        results_of_chunks = ordered_map(work, chunks, workers or available_cores())
        for results, chunk in zip(results_of_chunks, at_work, strict=True):
            if isinstance(results, Lost):
                numbers = f"{chunk.first:,} to {chunk.first + len(chunk.records) - 1:,}"
                raise GroovaeError(f"{chunk.file}: records {numbers}: {results.reason}")
            yield from results

    def digest(self) -> str:
        """Return the SHA-256 of all files, each preceded by its length."""
        digest = hashlib.sha256()
        for file in self.files:
            with _named_errors(file):
                size, parts = _storage(file).read(file)
                digest.update(size.to_bytes(8, "big"))
                for part in parts:
                    digest.update(part)
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
    """Adjacent records of a file; `first` is the number of the first one."""

    file: str
    first: int
    records: list[bytes]


def find(examples_path: str | os.PathLike[str]) -> Examples:
    """Find the records of a path: a file, or a glob of files, such as all shards of a set.

    Raises:
      GroovaeError: no file matches, shards are missing, or files were replaced in part.
    """
    path = os.path.expanduser(examples_path)
    _check_complete(path)
    storage = _storage(path)
    with _named_errors(path):
        # As a glob, the name `take[1].tfrecord` would not match itself.
        if storage.exists(path):
            return Examples(path, (path,), _parse_note_sequence)
        files = [
            file
            for file in sorted(storage.find(path))
            if not NOT_RECORDS.fullmatch(os.path.basename(file)) and not storage.is_folder(file)
        ]
        if not files:
            raise GroovaeError(f"{path}: no such file; {_hint(path)}")
    _check_shards(path, files)
    return Examples(path, tuple(files), _parse_note_sequence)


def from_tfds(name: str, data_dir: str | None = None, split: str = "train") -> Examples:
    """Find the MIDI files of a TensorFlow Datasets set, which is downloaded if necessary.

    Args:
      name: Such as `groove/4bar-midionly`.
      data_dir: Directory of TFDS sets; `~/tensorflow_datasets` by default.
      split: `train`, `validation` or `test`.

    Raises:
      UsageError: TFDS has no such set, or the set has no such split or no MIDI.
      GroovaeError: the set cannot be downloaded.
    """
    from groovae.upstream import tfds

    if data_dir is not None:
        data_dir = os.path.expanduser(data_dir)
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except Exception as error:  # TFDS has an error class for each of a dozen reasons.
        raise UsageError(f"--tfds_name={name}: {first_line(error)}") from error
    if "midi" not in builder.info.features:
        raise UsageError(f"--tfds_name={name}: this set has no feature 'midi'")
    try:
        if split not in builder.info.splits:
            builder.download_and_prepare()
    except Exception as error:
        raise GroovaeError(
            f"{name} is not in {builder.data_dir} and cannot be downloaded: {first_line(error)}"
        ) from error
    if split not in builder.info.splits:
        raise UsageError(f"--tfds_name={name}: this set has no split {split!r}")
    files = tuple(str(file) for file in builder.info.splits[split].filepaths)
    return Examples(f"{name} ({split})", files, functools.partial(_parse_tfds_example, name))


def _check_complete(path: str) -> None:
    folder = os.path.dirname(path) or "."
    if not glob.has_magic(folder) and os.path.isdir(folder):
        check_complete(folder)


def _hint(path: str) -> str:
    shards = sorted(_storage(path).find(f"{glob.escape(path)}-?????-of-?????"))
    if shards:
        return f"there are shards of it: use '{path}-*'"
    return f"make it with `groovae preprocess DIR {path}`"


def _check_shards(path: str, files: list[str]) -> None:
    """Check that the files are whole sets of shards, and one set only of each name."""
    shards = [shard for shard in map(SHARD.fullmatch, files) if shard]
    counts = {(shard["set"], int(shard["count"])) for shard in shards}
    for name, count in sorted(counts):
        found = sum((s["set"], int(s["count"])) == (name, count) for s in shards)
        if found != count:
            raise GroovaeError(f"{path}: found {found} of {count} shards of {name}")
        if sum(other == name for other, _ in counts) > 1 or name in files:
            raise GroovaeError(
                f"{path}: there are several sets of records of {name}; "
                f"name one, such as '{name}-*-of-{count:05}'"
            )


def _records(file: str) -> Iterator[bytes]:
    count = 0
    try:
        for record in _storage(file).read_records(file):
            yield record
            count += 1
    except (tfrecord.DamagedRecords, OSError) as error:
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


def _parse_note_sequence(record: bytes) -> Any:
    sequence = NoteSequence.FromString(record)
    # Other messages parse too, without known fields; a tf.train.Example parses as an id.
    if record and {field.name for field, _ in sequence.ListFields()} <= {"id", "filename"}:
        raise DecodeError("a record without music")
    return sequence


def _parse_tfds_example(name: str, record: bytes) -> Any:
    """Read a tf.train.Example with a MIDI file as Magenta does."""
    from groovae.upstream import tf

    feature = tf.train.Example.FromString(record).features.feature
    try:
        sequence = read_magenta(feature["midi"].bytes_list.value[0])
    except (IndexError, BrokenMidi) as error:
        raise DecodeError(f"a record without a MIDI file: {first_line(error)}") from error
    ids = feature["id"].bytes_list.value
    sequence.id = f"/tfds/{name}/{ids[0].decode('utf-8', 'replace')}" if ids else f"/tfds/{name}"
    return sequence


class _LocalFiles:
    """Files on this machine, with the functions of remote_files.py."""

    exists = staticmethod(os.path.exists)
    find = staticmethod(glob.glob)
    is_folder = staticmethod(os.path.isdir)
    read_records = staticmethod(tfrecord.read_records)

    @staticmethod
    def read(path: str) -> tuple[int, Iterator[bytes]]:
        """Return the size of a file, and its bytes in parts."""
        file = open_regular(path)
        return os.fstat(file.fileno()).st_size, _parts(file)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while data := file.read(READ_BYTES):
            yield data


def _storage(path: str) -> Any:
    """Return the functions that read a path."""
    if "://" not in path:
        return _LocalFiles
    from groovae.data import remote_files

    return remote_files


@contextlib.contextmanager
def _named_errors(file: str) -> Iterator[None]:
    """Convert an OSError to a GroovaeError that names the file."""
    try:
        yield
    except OSError as error:
        raise GroovaeError(f"cannot read {file}: {error.strerror or first_line(error)}") from error
