"""Checkpoints packed as `.tar`, `.tar.gz` or `.tgz`, unpacked safely and only once.

    prefix = unpacked("groovae_4bar.tar")  # .../groovae_4bar.unpacked-64c3d5e2/model.ckpt-...

Archives are not trusted: nothing is written before all members have been checked. Then the files of
one checkpoint, and the `config.json` and prior beside it, are unpacked to a folder named after the
archive and its SHA-256. It lies in the user's cache (`$XDG_CACHE_HOME/groovae`, by default
`~/.cache/groovae`), and may be deleted at any time: not beside the archive, where whoever made the
archive could have put other files. Without a writable cache, it lasts until Python exits.
"""

import contextlib
import functools
import os
import re
import tarfile
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from groovae.config.config_file import CONFIG_FILE
from groovae.errors import GroovaeError
from groovae.model.feel import FEEL_FILE
from groovae.model.formats import step_of
from groovae.model.prior import PRIOR_FILE
from groovae.system.atomic_files import atomic_write
from groovae.system.download import CHUNK_BYTES, sha256_of
from groovae.system.temporary import cannot_write

MAX_UNPACKED_BYTES = 4 << 30
MAX_MEMBERS = 10_000
MAX_HEADER_BYTES = 1 << 20

HEADER_TYPES = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
# What tarfile and its decompressors raise for damaged archives.
DAMAGE = (tarfile.TarError, EOFError, ValueError, RecursionError, zlib.error, LZMAError)

SHARD = re.compile(r"\.data-\d{5}-of-(\d{5})$")

Names = Collection[PurePosixPath]


def unpacked(path: str | os.PathLike[str]) -> Path:
    """Return the prefix of the checkpoint in an archive, after unpacking it if necessary.

    Args:
      path: A tar file, compressed or not, with a checkpoint at any depth. Of several checkpoints,
        the one of the last step is used.

    Raises:
      GroovaeError: the file is not a tar file, is damaged, contains no complete checkpoint or a
        member that is not allowed; or its files cannot be written.
    """
    path = Path(path).expanduser()
    with _as_groovae_error(path), open(path, "rb") as file:
        folder = _folder(path, sha256_of(file))
        if found := _prefix_in(folder):
            return folder / found
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:*", tarinfo=_Member) as archive:
            members = _checked_members(path, archive)
            prefix, names = _last_checkpoint(path, members.keys())
            _unpack(path, archive, [members[name] for name in names], folder)
            return folder / prefix.name


def _folder(path: Path, sha256: str) -> Path:
    """Return where an archive is unpacked."""
    name = re.sub(r"\.(tgz|tar(\.\w+)?)$", "", path.name)
    return _cache() / f"{name}.unpacked-{sha256[:16]}"


def _cache() -> Path:
    """Return the user's cache, or a temporary folder if it is missing or not writable."""
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "groovae"
    except RuntimeError:  # no home
        return Path(_temporary_cache().name)
    # os.path.lexists, unlike Path.exists, raises nothing below a folder that may not be read.
    there = next(folder for folder in (cache, *cache.parents) if os.path.lexists(folder))
    is_usable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return cache if is_usable else Path(_temporary_cache().name)


@functools.cache
def _temporary_cache() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="groovae-")  # removed when Python exits
    except OSError as error:
        raise cannot_write(error) from error


def _prefix_in(folder: Path) -> PurePosixPath | None:
    names = {PurePosixPath(name) for name in os.listdir(folder)} if folder.is_dir() else set()
    return next(iter(_checkpoints(names)), None)


def _checkpoints(names: Names) -> dict[PurePosixPath, list[PurePosixPath]]:
    """Return the complete checkpoints among these files: prefix to files, the index first."""
    shards = defaultdict(list)
    for name in names:
        # macOS archives contain a metadata file ._NAME for each NAME.
        if (match := SHARD.search(name.name)) and not name.name.startswith("."):
            shards[name.with_name(name.name[: match.start()]), int(match[1])].append(name)
    complete = {}
    for (prefix, count), files in shards.items():
        index, meta = (prefix.with_name(prefix.name + suffix) for suffix in (".index", ".meta"))
        if index in names and len(files) == count:
            beside = [prefix.with_name(name) for name in (CONFIG_FILE, PRIOR_FILE, FEEL_FILE)]
            others = [name for name in (meta, *beside) if name in names]
            complete[prefix] = [index, *files, *others]
    return complete


def _last_checkpoint(path: Path, names: Names) -> tuple[PurePosixPath, list[PurePosixPath]]:
    checkpoints = _checkpoints(names)
    if not checkpoints:
        raise GroovaeError(
            f"{path}: no complete checkpoint in this archive (NAME.index and all of "
            "NAME.data-00000-of-00001); download or pack it again"
        )
    return max(checkpoints.items(), key=lambda item: step_of(str(item[0])))


def _checked_members(path: Path, archive: tarfile.TarFile) -> dict[PurePosixPath, tarfile.TarInfo]:
    """Return the files of an archive by name; raise GroovaeError if any member is not allowed."""
    members: dict[PurePosixPath, tarfile.TarInfo] = {}
    total_bytes = 0
    for count, member in enumerate(archive, start=1):
        name = PurePosixPath(member.name)
        total_bytes += member.size
        if count > MAX_MEMBERS or member.size < 0 or total_bytes > MAX_UNPACKED_BYTES:
            raise GroovaeError(f"{path}: the archive is too large to unpack")
        if problem := _problem(member, name, members.keys()):
            raise GroovaeError(f"{path}: a member {problem}: {member.name!r}; it is not unpacked")
        if member.isreg():
            members[name] = member
    # Without this end mark, the archive was cut off between two members.
    archive.fileobj.seek(archive.offset)
    rest = archive.fileobj.read(MAX_HEADER_BYTES)
    if not rest.startswith(tarfile.NUL * tarfile.BLOCKSIZE):
        raise tarfile.ReadError("no end mark")
    return members


def _problem(member: tarfile.TarInfo, name: PurePosixPath, earlier: Names) -> str | None:
    """Return why a member is not allowed, or None. This is stricter than Python's data filter."""
    if name.is_absolute() or ".." in name.parts or "\\" in member.name:
        return "lies outside the folder"
    if member.issym() or member.islnk():
        return "is a link"
    if member.issparse() or not (member.isreg() or member.isdir()):
        return "is neither a file nor a folder"
    if name in earlier:
        return "is there twice"
    if not member.name.isprintable():
        return "has a name that is not text"
    if hasattr(tarfile, "data_filter"):  # from Python 3.10.12 and 3.11.4
        try:
            tarfile.data_filter(member, os.curdir)
        except tarfile.FilterError as error:  # such as a drive letter on Windows
            return f"is refused by tarfile ({error})"
    return None


def _unpack(
    path: Path, archive: tarfile.TarFile, members: list[tarfile.TarInfo], folder: Path
) -> None:
    """Write members into `folder`, the first one last: without its index, a checkpoint is ignored.

    Wherever a process is killed, the next one unpacks the archive again, to the same content.
    """
    try:
        with contextlib.ExitStack() as stack:  # which renames the files in reverse order
            for member in members:
                target = folder / PurePosixPath(member.name).name
                temporary = stack.enter_context(atomic_write(target, follow_links=False))
                with open(temporary, "wb") as sink:
                    for chunk in _chunks(path, archive, member):
                        sink.write(chunk)
    except BaseException:
        with contextlib.suppress(OSError):  # not empty, or not created
            folder.rmdir()
        raise


def _chunks(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    with _as_groovae_error(path), cast(BinaryIO, archive.extractfile(member)) as source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk


class _Member(tarfile.TarInfo):
    """A member with a limited header size, as a long name could fill the memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Any:
        member = super().frombuf(buf, encoding, errors)
        if member.type in HEADER_TYPES and member.size > MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header is too large")
        return member


@contextlib.contextmanager
def _as_groovae_error(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, *DAMAGE) as error:
        if isinstance(error, OSError) and error.strerror:
            raise GroovaeError(f"cannot read {path}: {error.strerror}") from error
        raise GroovaeError(
            f"{path}: this is not a tar archive, or it is cut off or damaged; "
            "download or pack it again"
        ) from error
