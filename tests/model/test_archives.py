"""Checkpoints in `.tar` archives: Google's are unpacked, and hostile ones write nothing."""

import gzip
import io
import itertools
import multiprocessing
import os
import pwd
import random
import shutil
import signal
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_HPARAMS, Groovae, assert_one_line, ordinary_user

from groovae.errors import GroovaeError
from groovae.generation.loading import load_model
from groovae.model import archives
from groovae.model.archives import unpacked
from groovae.model.checkpoints import check_readable, find_checkpoint


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """Run the command line in this process, which saves its start-up time."""
    return in_process


pytestmark = pytest.mark.usefixtures("cache_home")

STEP_3 = ("model.ckpt-3.index", "model.ckpt-3.data-00000-of-00001", "model.ckpt-3.meta")


@pytest.fixture
def packed(trained: Path, tmp_path: Path) -> Path:
    """An archive like Google's: one checkpoint in a folder, without config.json."""
    return pack(tmp_path / "groovae_4bar.tar", trained, "groovae_4bar/")


def pack(path: Path, train_dir: Path, folder: str, *more: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = "w:gz" if path.suffix in (".gz", ".tgz") else "w"
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for name in (*STEP_3, *more):
            tar.add(train_dir / name, folder + name)
    return path


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def a_member(name: str, kind: bytes = tarfile.REGTYPE, to: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def assert_refused(folder: Path, content: bytes, message: str) -> None:
    """Assert that unpacking raises a one-line error and writes nothing."""
    path = folder / "in" / "x.tar"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    before = snapshot(folder)
    with pytest.raises(GroovaeError, match=message) as error:
        unpacked(path)
    assert "\n" not in str(error.value)
    assert snapshot(folder) == before


# Unpacking


@pytest.mark.parametrize("folder", ["", "./", "groovae_4bar/", "a/b/c/"])
@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tgz"])
def test_checkpoint_at_any_depth_is_unpacked(
    trained: Path, tmp_path: Path, folder: str, suffix: str
) -> None:
    path = pack(tmp_path / f"x.y{suffix}", trained, folder, "config.json")
    prefix = unpacked(path)
    assert prefix.name == "model.ckpt-3"
    assert prefix.parent.parent == tmp_path / "cache" / "groovae"
    assert prefix.parent.name.startswith("x.y.unpacked-")
    names = {*STEP_3, "config.json"}
    assert snapshot(prefix.parent) == {name: (trained / name).read_bytes() for name in names}
    check_readable(str(prefix))


def test_other_files_are_not_unpacked(trained: Path, tmp_path: Path) -> None:
    (path := tmp_path / "train.tar").touch()
    with tarfile.open(path, "w") as tar:
        tar.add(trained, "train")
        tar.addfile(a_member("train/._model.ckpt-9.index"))
        tar.addfile(a_member("train/._model.ckpt-9.data-00000-of-00001"))
        tar.addfile(a_member(".data-00000-of-00001"))
        tar.addfile(a_member("config.json"))
    prefix = unpacked(path)
    assert set(snapshot(prefix.parent)) == {*STEP_3, "config.json"}
    assert (prefix.parent / "config.json").read_bytes() == (trained / "config.json").read_bytes()


def test_last_of_several_checkpoints_is_unpacked(trained: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for step in (9, 10, 11, 2):
            for suffix in (".index", ".data-00000-of-00001"):
                if (step, suffix) != (11, ".index"):  # incomplete
                    tar.add(trained / f"model.ckpt-3{suffix}", f"a/model.ckpt-{step}{suffix}")
    prefix = unpacked(tmp_path / "x.tar")
    assert prefix.name == "model.ckpt-10"
    assert len(snapshot(prefix.parent)) == 2


def test_checkpoint_needs_all_shards(tmp_path: Path) -> None:
    shards = [f"model.ckpt-7.data-{i:05}-of-00003" for i in range(3)]
    members = [(a_member(name), name.encode()) for name in ("model.ckpt-7.index", *shards)]
    assert_refused(tmp_path, tar_of(*members[:3]), "no complete checkpoint")
    assert_refused(tmp_path, tar_of(*members[1:]), "no complete checkpoint")
    (tmp_path / "x.tar").write_bytes(tar_of(*members))
    assert set(snapshot(unpacked(tmp_path / "x.tar").parent)) == {"model.ckpt-7.index", *shards}


def test_archive_is_unpacked_once(packed: Path) -> None:
    prefix = unpacked(packed)
    before = {path: path.stat().st_ino for path in prefix.parent.iterdir()}
    assert unpacked(packed) == prefix
    assert {path: path.stat().st_ino for path in prefix.parent.iterdir()} == before


def test_changed_archive_is_unpacked_to_another_folder(trained: Path, packed: Path) -> None:
    first, when = unpacked(packed), packed.stat()
    pack(packed, trained, "groovae_5bar/")
    assert packed.stat().st_size == when.st_size
    os.utime(packed, ns=(when.st_atime_ns, when.st_mtime_ns))
    second = unpacked(packed)
    assert second.parent != first.parent
    assert snapshot(second.parent) == snapshot(first.parent)


def test_removed_files_are_unpacked_again(packed: Path) -> None:
    prefix = unpacked(packed)
    before = snapshot(prefix.parent)
    for name in STEP_3[:2]:
        (prefix.parent / name).unlink()
        assert unpacked(packed) == prefix
        assert snapshot(prefix.parent) == before
    shutil.rmtree(prefix.parent)
    assert unpacked(packed) == prefix
    assert snapshot(prefix.parent) == before


def test_files_beside_an_archive_are_not_trusted(packed: Path) -> None:
    prefix = unpacked(packed)
    beside = shutil.copytree(prefix.parent, packed.parent / prefix.parent.name)
    (beside / "config.json").write_text("{}")
    shutil.rmtree(prefix.parent)
    for name in STEP_3:
        (beside / name).write_bytes(b"forged")
    assert unpacked(packed) == prefix
    check_readable(str(prefix))
    assert not (prefix.parent / "config.json").exists()


def test_cache_is_in_the_home_folder(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert unpacked(packed).parent.parent == tmp_path / "home" / ".cache" / "groovae"


@pytest.mark.parametrize("kind", ["no home", "no user", "a file", "read-only"])
def test_without_a_cache_a_temporary_folder_is_used(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    (tmp_path / "file").touch()
    if kind == "a file":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    elif kind == "read-only":  # Root can write to a read-only folder.
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    elif kind == "no user":  # as in a container with --user
        for name in ("XDG_CACHE_HOME", "HOME"):
            monkeypatch.delenv(name)
        monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    else:
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
        monkeypatch.delenv("XDG_CACHE_HOME")
    prefix = unpacked(packed)
    assert tmp_path not in prefix.parents
    check_readable(str(prefix))
    assert unpacked(packed) == prefix


def test_cache_in_the_home_of_another_user(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed.read_bytes()
    archives._temporary_cache.cache_clear()  # it may belong to root
    with ordinary_user(), tempfile.TemporaryDirectory() as folder:
        archive, home = Path(folder, packed.name), Path(folder, "home")
        archive.write_bytes(content)
        home.mkdir(0)
        # It asks about the real user of the process, here root.
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        prefix = unpacked(archive)
        assert Path(folder) not in prefix.parents
        check_readable(str(prefix))


def test_processes_can_unpack_one_archive_at_once(packed: Path) -> None:
    for _ in range(4):
        with multiprocessing.get_context("fork").Pool(4) as pool:
            prefixes = set(pool.map(unpacked, [packed] * 4, chunksize=1))
        assert prefixes == {unpacked(packed)}
        (prefix,) = prefixes
        assert set(snapshot(prefix.parent)) == set(STEP_3)
        shutil.rmtree(prefix.parent)


# Members that are not allowed

GOOD = [(a_member("m-1.index"), b"i"), (a_member("m-1.data-00000-of-00001"), b"d")]
OUTSIDE, LINK, NEITHER = "lies outside", "is a link", "is neither a file nor a folder"
HOSTILE = {
    "above": (a_member("../evil.index"), OUTSIDE),
    "up and out": (a_member("a/../../evil.index"), OUTSIDE),
    "up and in": (a_member("a/../evil.index"), OUTSIDE),
    "absolute": (a_member("/evil.index"), OUTSIDE),
    "backslash": (a_member("..\\evil.index"), OUTSIDE),
    "folder above": (a_member("../evil", tarfile.DIRTYPE), OUTSIDE),
    "symlink": (a_member("evil", tarfile.SYMTYPE, "/etc"), LINK),
    "symlink in the way": (a_member("m-1.meta", tarfile.SYMTYPE, "../evil"), LINK),
    "hard link": (a_member("m-1.meta", tarfile.LNKTYPE, "/etc/passwd"), LINK),
    "hard link within": (a_member("m-1.meta", tarfile.LNKTYPE, "m-1.index"), LINK),
    "character device": (a_member("m-1.meta", tarfile.CHRTYPE), NEITHER),
    "block device": (a_member("m-1.meta", tarfile.BLKTYPE), NEITHER),
    "fifo": (a_member("m-1.meta", tarfile.FIFOTYPE), NEITHER),
    "unknown": (a_member("m-1.meta", b"Z"), NEITHER),
    "twice": (a_member("m-1.index"), "is there twice"),
    "twice, dotted": (a_member("./m-1.index"), "is there twice"),
    "two lines": (a_member("m-1\n.meta"), "has a name that is not text"),
    "no UTF-8": (a_member("m-\udcff.meta"), "has a name that is not text"),
}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(("member", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_member_is_refused_before_anything_is_written(
    tmp_path: Path, member: tarfile.TarInfo, message: str, first: bool
) -> None:
    members = [(member, b""), *GOOD] if first else [*GOOD, (member, b"")]
    assert_refused(tmp_path, tar_of(*members), message)
    assert not Path("/evil.index").exists()


def test_hostile_members_are_refused_by_pythons_without_a_data_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    for member, message in HOSTILE.values():
        assert_refused(tmp_path, tar_of(*GOOD, (member, b"")), message)


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python is older")
def test_members_that_the_data_filter_refuses_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(member: tarfile.TarInfo, folder: str) -> None:
        raise tarfile.AbsolutePathError(member)

    monkeypatch.setattr(tarfile, "data_filter", refuse)
    assert_refused(tmp_path, tar_of(*GOOD), "refused by tarfile")


def test_sparse_file_is_refused(tmp_path: Path) -> None:
    content = tar_of((a_member("m-1.meta", tarfile.GNUTYPE_SPARSE), b""), *GOOD)
    assert_refused(tmp_path, content, NEITHER)


def test_member_over_the_size_limit_is_refused(tmp_path: Path) -> None:
    huge = a_member("m-1.index")
    huge.size = archives.MAX_UNPACKED_BYTES + 1
    assert_refused(tmp_path, huge.tobuf(), "too large to unpack")


@pytest.mark.parametrize("size", [-1, -(1 << 40)])
def test_negative_size_is_refused(tmp_path: Path, size: int) -> None:
    header = a_member("m-1.index")
    header.size = size
    content = tar_of(*GOOD[:1]).rstrip(b"\0").ljust(1024, b"\0") + header.tobuf(tarfile.GNU_FORMAT)
    assert_refused(tmp_path, content + bytes(1024), "too large|not a tar archive|cut off")


def test_sum_over_the_size_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = tar_of(*GOOD, (a_member("notes"), b"n" * 10))
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 11)
    assert_refused(tmp_path, content, "too large to unpack")
    monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 12)
    assert unpacked(tmp_path / "in" / "x.tar").name == "m-1"


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBERS", 100)
    many = [(a_member(f"{i}"), b"") for i in range(archives.MAX_MEMBERS - 1)]
    assert_refused(tmp_path, tar_of(*many, *GOOD), "too large to unpack")
    assert_refused(tmp_path, tar_of(*many), "no complete checkpoint")


@pytest.mark.parametrize("kind", archives.HEADER_TYPES)
def test_large_header_is_refused(
    tmp_path: Path, kind: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_bytes = archives.MAX_HEADER_BYTES + 1
    if kind in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        record = b"a" * (record_bytes - 1) + b"\0"
    else:
        record = b"%d comment=" % record_bytes
        record = record.ljust(record_bytes - 1, b"a") + b"\n"
    header = a_member("././@Header", kind)
    header.size = record_bytes
    padding = bytes(-record_bytes % 512)
    content = header.tobuf() + record + padding + tar_of((a_member("notes"), b""), *GOOD)
    assert_refused(tmp_path, content, "not a tar archive")
    monkeypatch.setattr(archives, "MAX_HEADER_BYTES", record_bytes)
    assert unpacked(tmp_path / "in" / "x.tar").name == "m-1"


def test_thousands_of_headers_are_refused(tmp_path: Path) -> None:
    header = a_member("x", tarfile.XHDTYPE)
    assert_refused(tmp_path, header.tobuf() * 5000 + tar_of(*GOOD), "not a tar archive")


# Damaged archives


def small_archive(path: Path) -> bytes:
    """Return an archive like `packed`, of small files that do not compress."""
    rng, path = random.Random(1), path / "small"
    path.mkdir()
    for name in (*STEP_3, "config.json"):
        (path / name).write_bytes(rng.randbytes(rng.randint(4_000, 9_000)))
    return pack(path / "whole.tar", path, "m/", "config.json").read_bytes()


@pytest.mark.parametrize("content", [b"", b"no tar at all", b"PK\3\4" * 999, b"\x1f\x8b" * 300])
def test_other_files_than_tar_are_refused(tmp_path: Path, content: bytes) -> None:
    assert_refused(tmp_path, content, "not a tar archive")


@pytest.mark.parametrize("content", [tar_of(), tar_of((a_member("notes.txt"), b"hello"))])
def test_archive_without_a_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    assert_refused(tmp_path, content, r"checkpoint .*NAME\.index")


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=r"cannot read .*x\.tar: No such file"):
        unpacked(tmp_path / "x.tar")
    with pytest.raises(GroovaeError, match=r"cannot read .*: Is a directory"):
        unpacked(tmp_path)


def test_truncated_archive_is_refused(tmp_path: Path) -> None:
    content = small_archive(tmp_path)
    end = len(content.rstrip(b"\0"))
    cuts = {*range(0, end, 512), *range(100, end, 5003), end}
    assert len(cuts) > 50
    for cut in sorted(cuts):
        assert_refused(tmp_path, content[:cut], "not a tar archive")


def test_truncated_compressed_archive_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(small_archive(tmp_path))
    cuts = [*range(0, len(content), 512), *range(len(content) - 10, len(content))]
    for cut in cuts:
        assert_refused(tmp_path, content[:cut], "not a tar archive")


@pytest.mark.parametrize("is_compressed", [False, True])
def test_damaged_archive_is_refused_or_unpacked_in_the_cache(
    tmp_path: Path, is_compressed: bool
) -> None:
    """Try 300 archives with some bytes changed."""
    content = small_archive(tmp_path)
    if is_compressed:
        content = gzip.compress(content)
    path, draw, cache = tmp_path / "in" / "x.tar", random.Random(4), tmp_path / "cache" / "groovae"
    for folder in (path.parent, cache):
        folder.mkdir(parents=True)
    outside = snapshot(tmp_path)
    errors: list[str] = []
    for _ in range(300):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 8)):
            # Half of the changes in the first header, which is only 512 bytes.
            where = draw.choice([draw.randrange(len(content)), draw.randrange(512)])
            damaged[where] = draw.randrange(256)
        path.write_bytes(damaged)
        try:
            prefix = unpacked(path)
            assert prefix.parent.parent == cache
            shutil.rmtree(prefix.parent)
        except GroovaeError as error:
            errors.append(str(error))
        path.unlink()
        assert snapshot(tmp_path) == outside
    assert len(errors) > 100
    assert not [error for error in errors if "\n" in error]


# Errors while unpacking


def test_full_disk_leaves_nothing(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache" / "groovae").mkdir(parents=True)
    before = snapshot(tmp_path)

    def full(*_: object) -> Iterator[bytes]:
        yield b"some bytes"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives, "_chunks", full)
    with pytest.raises(GroovaeError, match=r"cannot write .*: No space left"):
        unpacked(packed)
    assert snapshot(tmp_path) == before


def unpack_and_die(path: Path, at: int) -> None:
    """Unpack, and kill this process at the `at`-th call that opens, syncs or renames a file."""
    calls = itertools.count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **more: Any) -> Any:
            if next(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **more)

        return count

    for module, name in ((os, "open"), (os, "replace"), (os, "fsync"), (tarfile, "open")):
        setattr(module, name, counted(getattr(module, name)))
    archives.open = counted(open)  # type: ignore[attr-defined]
    unpacked(path)


def test_kill_9_at_any_moment_is_repaired_by_the_next_use(
    packed: Path, trained: Path, tmp_path: Path
) -> None:
    whole = {name: (trained / name).read_bytes() for name in STEP_3}
    for at in range(1, 200):
        process = multiprocessing.get_context("fork").Process(
            target=unpack_and_die, args=(packed, at)
        )
        process.start()
        process.join()
        prefix = unpacked(packed)
        assert snapshot(prefix.parent) == whole
        shutil.rmtree(prefix.parent)
        assert os.listdir(prefix.parent.parent) == []
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert 20 < at < 199


# Commands


def test_find_checkpoint_accepts_an_archive(packed: Path) -> None:
    assert find_checkpoint(packed) == str(unpacked(packed))
    assert find_checkpoint(f"{packed}x") is None


def test_config_json_in_the_archive_is_read(trained: Path, tmp_path: Path) -> None:
    model = load_model(pack(tmp_path / "x.tar", trained, "x/", "config.json"))
    assert model.config.hparams.z_size == 4


def test_sample_from_an_archive(
    groovae: Groovae, packed: Path, trained: Path, tmp_path: Path
) -> None:
    flags = ["--config=groovae_4bar", f"--hparams={TINY_HPARAMS}", "--seed=5"]
    for out, checkpoint in (("a.mid", "groovae_4bar.tar"), ("b.mid", trained)):
        result = groovae("sample", f"--checkpoint={checkpoint}", f"--out={out}", *flags)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()


def test_sample_from_a_hostile_archive_fails_in_one_line(groovae: Groovae, tmp_path: Path) -> None:
    (path := tmp_path / "x.tar").write_bytes(tar_of(*GOOD, (a_member("../evil"), b"evil")))
    result = groovae("sample", "--checkpoint=x.tar")
    assert_one_line(result, 1, "x.tar", "outside", "'../evil'")
    assert list(tmp_path.iterdir()) == [path]
    assert not (tmp_path.parent / "evil").exists()


def test_missing_archive_suggests_to_download_it(groovae: Groovae) -> None:
    result = groovae("sample", "--checkpoint=groovae_4bar.tar")
    assert_one_line(result, 1, "groovae_4bar.tar", "groovae download --checkpoint=")
