"""Files and folders are replaced atomically, alone or together, even if interrupted."""

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from conftest import small_disk

from groovae.errors import GroovaeError, UsageError
from groovae.system import atomic_files
from groovae.system.atomic_files import (
    JOURNAL,
    LOCK,
    atomic_directory,
    atomic_write,
    atomic_write_all,
    check_complete,
    exclusive,
    write_json,
)

ERRORS = [ValueError("broken"), GroovaeError("refused"), KeyboardInterrupt(), SystemExit(3)]


@pytest.fixture
def umask() -> Iterator[Callable[[int], int]]:
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB, which only root can mount."""
    with small_disk(tmp_path / "disk", "64k") as disk:
        yield disk


def run_python(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def write(path: Path, text: str = "new") -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


def finish_interrupted(folder: Path) -> None:
    """Let the next write in a folder complete the renames of a killed process."""
    write(folder / "next")
    (folder / "next").unlink()


def half_write(path: Path, error: BaseException) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text("half of the n")
        raise error


def half_write_folder(path: Path, error: BaseException) -> None:
    with atomic_directory(path) as temporary:
        (temporary / "file").write_text("half")
        raise error


def write_folder(path: Path, text: str = "new") -> None:
    with atomic_directory(path) as temporary:
        (temporary / "file").write_text(text)


# One file


def test_parent_folders_are_created(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "file")
    assert (tmp_path / "a" / "b" / "file").read_text() == "new"
    assert os.listdir(tmp_path / "a" / "b") == ["file"]


def test_file_is_replaced_at_the_end_of_the_block(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path, "a rename within one folder is atomic"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("half_writing", [half_write, half_write_folder])
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_old_file_is_kept_if_the_block_raises(
    tmp_path: Path, half_writing: Callable[[Path, BaseException], None], error: BaseException
) -> None:
    (tmp_path / "old").write_text("old")
    for name in ("old", "new"):
        with pytest.raises(type(error)) as raised:
            half_writing(tmp_path / name, error)
        assert raised.value is error
    assert (tmp_path / "old").read_text() == "old"
    assert os.listdir(tmp_path) == ["old"]


@pytest.mark.parametrize("half_writing", [half_write, half_write_folder])
def test_os_error_in_the_block_names_the_path(
    tmp_path: Path, half_writing: Callable[[Path, BaseException], None]
) -> None:
    with pytest.raises(GroovaeError, match=r"cannot write .*/new: No space left on device"):
        half_writing(tmp_path / "new", OSError(28, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_target_of_a_link_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "link").symlink_to("there/file")
    write(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "there/file"
    assert (tmp_path / "there" / "file").read_text() == "new"


def test_link_is_replaced_if_the_user_did_not_name_it(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    for target in ("mine", "missing", "/dev/null"):
        (tmp_path / "link").symlink_to(target)
        with atomic_write(tmp_path / "link", follow_links=False) as temporary:
            temporary.write_text("new")
        assert not (tmp_path / "link").is_symlink()
        assert (tmp_path / "link").read_text() == "new"
        (tmp_path / "link").unlink()
    (tmp_path / "config.json").symlink_to("mine")
    write_json(tmp_path / "config.json", {})
    assert contents(tmp_path) == {"mine": "mine", "config.json": "{}\n"}


def test_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write(Path("~/file"))
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_mode_follows_the_umask(
    tmp_path: Path, umask: Callable[[int], int], mask: int, mode: int
) -> None:
    umask(mask)
    write(tmp_path / "file")
    write_folder(tmp_path / "folder")
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == mode | (mode & 0o444) >> 2
    assert umask(0o022) == mask, "the umask is unchanged"


@pytest.mark.parametrize("writing", [write, write_folder])
@pytest.mark.parametrize("place", ["file/below", "file/below/it", "x" * 300, "full", "pipe"])
def test_unwritable_path_is_an_error(
    tmp_path: Path, writing: Callable[[Path], None], place: str
) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(GroovaeError, match="cannot write"):
        writing(tmp_path / place)
    assert sorted(os.listdir(tmp_path)) == ["file", "full", "pipe"]
    assert (tmp_path / "file").read_text() == (tmp_path / "full" / "file").read_text() == "old"
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("writing", [write, write_folder])
def test_device_is_not_replaced(writing: Callable[[Path], None]) -> None:
    with pytest.raises(GroovaeError, match="cannot write /dev/null"):
        writing(Path("/dev/null"))
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(not os.path.exists("/dev/fd"), reason="there is no /dev/fd")
def test_nothing_is_written_in_a_folder_of_devices(tmp_path: Path) -> None:
    with open(tmp_path / "redirected", "w") as file:
        for path in (f"/dev/fd/{file.fileno()}", "/dev/stdout.report.json"):
            with pytest.raises(UsageError, match="device"), atomic_write_all([path, "a"]):
                pytest.fail("it was opened")
    assert os.listdir(tmp_path) == ["redirected"]


# A folder


@pytest.mark.parametrize("exists", [False, True])
def test_new_or_empty_folder_is_written(tmp_path: Path, exists: bool) -> None:
    path = tmp_path / "a" / "folder"
    if exists:
        path.mkdir(parents=True)
    with atomic_directory(path) as temporary:
        (temporary / "file").write_text("new")
        assert not (path / "file").exists()
    assert (path / "file").read_text() == "new"
    assert os.listdir(tmp_path / "a") == ["folder"]


def test_link_to_an_empty_folder_is_kept(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    write_folder(tmp_path / "link")
    assert os.readlink(tmp_path / "link") == "there"
    assert (tmp_path / "there" / "file").read_text() == "new"


# Several files


def write_all(folder: Path, text: str, names: Sequence[str] = "abc") -> None:
    with atomic_write_all([folder / name for name in names]) as temporaries:
        for name, temporary in zip(names, temporaries, strict=True):
            temporary.write_text(text + name)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def test_files_are_replaced_together(tmp_path: Path) -> None:
    write_all(tmp_path / "x", "old ")
    with atomic_write_all([tmp_path / "x" / name for name in "abd"]) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new")
            assert {contents(tmp_path / "x")[name] for name in "abc"} == {"old a", "old b", "old c"}
    assert contents(tmp_path / "x") == {"a": "new", "b": "new", "c": "old c", "d": "new"}


def test_files_are_kept_if_the_block_raises(tmp_path: Path) -> None:
    def half_write_all() -> None:
        with atomic_write_all([tmp_path / "a", tmp_path / "b"]) as (temporary, _):
            temporary.write_text("half")
            raise KeyboardInterrupt

    write_all(tmp_path, "old ", "a")
    with pytest.raises(KeyboardInterrupt):
        half_write_all()
    assert contents(tmp_path) == {"a": "old a"}


def test_one_unwritable_file_keeps_all_files(tmp_path: Path) -> None:
    write_all(tmp_path, "old ", "a")
    (tmp_path / "c").mkdir()
    with pytest.raises(GroovaeError, match=r"cannot write .*/c: it is not a file"):
        write_all(tmp_path, "new ")
    assert contents(tmp_path) == {"a": "old a"}


def test_files_in_several_folders_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "b").symlink_to("there/b")
    write_all(tmp_path, "new ")
    assert contents(tmp_path) == {"a": "new a", "b": "new b", "c": "new c"}
    assert (tmp_path / "b").is_symlink()


class Killed(BaseException):
    pass


def interrupt_renames(monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException) -> None:
    """Raise `error` instead of the next rename after the first `after` renames."""
    renames, replace = 0, os.replace

    def rename(source: Path, target: Path) -> None:
        nonlocal renames
        renames += 1
        if renames == after + 1:
            raise error
        replace(source, target)

    monkeypatch.setattr(atomic_files.os, "replace", rename)


# The first rename puts the journal in place.
@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("error", [Killed(), OSError(5, "Input/output error")], ids=repr)
def test_interrupted_renames_are_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int, error: BaseException
) -> None:
    write_all(tmp_path, "old ")
    with monkeypatch.context() as patch:
        interrupt_renames(patch, after, error)
        with pytest.raises((Killed, GroovaeError)):
            write_all(tmp_path, "new ")
    assert len(contents(tmp_path)) == 3 + 1 + 4 - after, (
        "three old files, the journal, and temporary files"
    )
    for _ in range(2):
        finish_interrupted(tmp_path)
        assert contents(tmp_path) == {"a": "new a", "b": "new b", "c": "new c"}


def test_interrupted_renames_are_finished_before_a_file_is_replaced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupt_renames(patch, 2, Killed())
        with pytest.raises(Killed):
            write_all(tmp_path, "1 ")
    write(tmp_path / "b", "2 b")
    finish_interrupted(tmp_path)
    assert contents(tmp_path) == {"a": "1 a", "b": "2 b", "c": "1 c"}


@pytest.mark.parametrize("after", [1, 2, 3])
def test_ctrl_c_during_the_renames_completes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    interrupt_renames(monkeypatch, after, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        write_all(tmp_path, "new ")
    assert contents(tmp_path) == {"a": "new a", "b": "new b", "c": "new c"}


@pytest.mark.parametrize(
    "journal",
    [
        "",
        "[]",
        "no JSON",
        '{"a": "b"}',
        '{".b.12345678.tmp": "a"}',
        '{".b.12345678.tmp": "../b"}',
        '{"../.b.12345678.tmp": "b"}',
        '{".b.12345678.tmp": 1}',
        '{".b.12345678.tmp": ""}',
        '{"..b.12345678.tmp": ".b", "a": "x"}',
    ],
)
def test_journal_with_other_renames_is_refused(tmp_path: Path, journal: str) -> None:
    folder = tmp_path / "folder"
    write_all(folder, "old ", ["a", ".b.12345678.tmp", "..b.12345678.tmp"])
    (folder / JOURNAL).write_text(journal)
    before = contents(folder)
    for act in (lambda folder: write_all(folder, "new"), lambda folder: write(folder / "new")):
        with pytest.raises(GroovaeError, match=rf"{JOURNAL}: .* remove it"):
            act(folder)
    assert contents(folder) == before


def test_finish_without_a_journal_or_its_files_does_nothing(tmp_path: Path) -> None:
    finish_interrupted(tmp_path)
    check_complete(tmp_path / "nowhere")
    (tmp_path / JOURNAL).write_text('{".a.12345678.tmp": "a"}')
    finish_interrupted(tmp_path)
    assert contents(tmp_path) == {}


# Temporary files of killed processes


def test_abandoned_temporary_files_are_removed_when_the_file_is_written(tmp_path: Path) -> None:
    theirs = [".other.12345678.tmp", ".a.123.tmp", ".a.report.12345678.tmp", "a.12345678.tmp"]
    for name in [".a.12345678.tmp", ".a.abcdef_9.tmp", *theirs]:
        (tmp_path / name).write_text("abandoned")
    write(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *theirs])


def test_abandoned_temporary_folders_are_removed_when_the_folder_is_written(tmp_path: Path) -> None:
    theirs = [".other.12345678.tmp", ".a.123.tmp", "a.12345678.tmp"]
    for name in [".a.12345678.tmp", ".a.abcdef_9.tmp", *theirs]:
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").touch()
    write_folder(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", *theirs])


def test_temporary_folders_in_use_are_kept(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "a") as first:
        (first / "file").write_text("first")
        with atomic_directory(tmp_path / "a") as second:
            assert second != first
        shutil.rmtree(tmp_path / "a")
    assert (tmp_path / "a" / "file").read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_temporary_files_in_use_are_kept(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a") as first:
        first.write_text("first")
        write(tmp_path / "a", "second")
        assert (tmp_path / "a").read_text() == "second"
        assert first.read_text() == "first"
    assert contents(tmp_path) == {"a": "first"}


# Locks


HOLD = """
import sys, time
from groovae.system.atomic_files import exclusive
with exclusive(sys.argv[1], "trains here"):
    print("running", flush=True)
    time.sleep(600)
"""


def test_exclusive_refuses_a_second_process_until_the_first_is_killed(tmp_path: Path) -> None:
    with running(HOLD, tmp_path / "a") as process:
        for _ in range(2):
            with (
                pytest.raises(GroovaeError, match=f"trains here .process {process.pid} on "),
                exclusive(tmp_path / "a", "trains here"),
            ):
                pass
        process.kill()
        process.wait()
    assert os.listdir(tmp_path / "a") == [LOCK]
    with exclusive(tmp_path / "a", "trains here"):
        assert (tmp_path / "a" / LOCK).read_text().startswith(f"process {os.getpid()} on ")
    assert os.listdir(tmp_path) == [], "the lock file and the empty folder are removed"


def test_exclusive_keeps_a_folder_with_files(tmp_path: Path) -> None:
    with exclusive(tmp_path / "a", "trains here"):
        (tmp_path / "a" / "file").touch()
    assert os.listdir(tmp_path / "a") == ["file"]


@pytest.mark.parametrize("kind", ["link", "hard link", "dangling link", "pipe"])
def test_lock_that_is_not_a_plain_file_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "mine").write_text("mine")
    lock = tmp_path / LOCK
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "hard link":
        os.link(tmp_path / "mine", lock)
    else:
        lock.symlink_to("mine" if kind == "link" else "missing")
    with (
        pytest.raises(GroovaeError, match=f"cannot write .*/{LOCK}: .*remove it"),
        exclusive(tmp_path, "trains here"),
    ):
        pass
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == sorted(["mine", LOCK])


def test_exclusive_is_not_inherited_by_forked_processes(tmp_path: Path) -> None:
    with exclusive(tmp_path, "trains here"):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
    try:
        with exclusive(tmp_path, "trains here"):
            assert child.is_alive()
    finally:
        child.kill()
        child.join()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_serves_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(handle: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)
    with exclusive(tmp_path / "a", "trains here"):
        write(tmp_path / "a" / "file")
        write_folder(tmp_path / "a" / "folder")
        write_all(tmp_path / "a", "new ")
    assert sorted(os.listdir(tmp_path / "a")) == ["a", "b", "c", "file", "folder"]


def test_exclusive_in_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(GroovaeError, match="cannot write"),
        exclusive(tmp_path / "file", "trains here"),
    ):
        pass


# JSON


def test_json_is_indented_utf_8(tmp_path: Path) -> None:
    value = {"Größe": [1, 2.5, None, True], "b": {}}
    write_json(tmp_path / "a.json", value)
    text = (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(text) == value
    assert text.startswith('{\n  "Größe": [\n    1,')
    assert text.endswith("}\n")


def test_value_that_json_cannot_hold_keeps_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == "{}"
    assert os.listdir(tmp_path) == ["a.json"]


# Full disks and kill -9


def test_full_disk_keeps_the_old_file(tiny_disk: Path) -> None:
    write(tiny_disk / "file", "old")
    with pytest.raises(GroovaeError, match="No space left on device"):
        write(tiny_disk / "file", "new" * 30_000)
    with pytest.raises(GroovaeError, match="No space left on device"):
        write_folder(tiny_disk / "folder", "new" * 30_000)
    assert os.listdir(tiny_disk) == ["file"]
    assert (tiny_disk / "file").read_text() == "old"


LIMITED = """
import resource, sys
from groovae.errors import GroovaeError
from groovae.system.atomic_files import write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_json(sys.argv[1], list(range(10_000)))
except GroovaeError as error:
    print(error)
"""


def test_file_over_the_size_limit_keeps_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("old")
    result = run_python(LIMITED, tmp_path / "a.json")
    assert str(tmp_path / "a.json") in result.stdout, result.stderr
    assert result.stdout.endswith("File too large\n")
    assert (tmp_path / "a.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


# Version n of the file is 300 lines of n; each folder has 20 files.
WRITER = """
import itertools, pathlib, sys
from groovae.system.atomic_files import atomic_directory, atomic_write
root = pathlib.Path(sys.argv[1])
for n in itertools.count():
    with atomic_write(root / "file") as temporary, open(temporary, "w") as file:
        for _ in range(300):
            print(n, file=file, flush=True)
    with atomic_directory(root / f"folder{n}") as temporary:
        for i in range(20):
            (temporary / str(i)).write_text("whole")
    if n == 0:
        print("running", flush=True)
"""


# Processes that replace the same three files; all files of a version have the same content.
RIVAL = """
import itertools, pathlib, sys
from groovae.system.atomic_files import atomic_write_all
root, who = pathlib.Path(sys.argv[1]), sys.argv[2]
for n in itertools.count():
    with atomic_write_all([root / name for name in "abc"]) as temporaries:
        for temporary in temporaries:
            temporary.write_text(f"{who} {n}")
    if n == 0:
        print("running", flush=True)
"""


@contextlib.contextmanager
def running(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a script until it prints "running"; kill it at the end of the block."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("seed", range(8))
def test_kill_9_leaves_a_whole_file_and_whole_folders(tmp_path: Path, seed: int) -> None:
    with running(WRITER, tmp_path) as process:
        time.sleep(random.Random(seed).uniform(0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
    lines = (tmp_path / "file").read_text().splitlines()
    assert len(lines) == 300
    assert len(set(lines)) == 1
    folders = [path for path in tmp_path.iterdir() if path.name.startswith("folder")]
    assert folders
    for folder in folders:
        assert sorted(path.read_text() for path in folder.iterdir()) == ["whole"] * 20


@pytest.mark.parametrize("seed", range(30))
def test_kill_9_leaves_all_old_or_all_new_files(tmp_path: Path, seed: int) -> None:
    with running(RIVAL, tmp_path, "x") as process:
        time.sleep(random.Random(seed).uniform(0, 0.01))
        process.kill()
        process.wait()
    finish_interrupted(tmp_path)
    assert len({(tmp_path / name).read_text() for name in "abc"}) == 1
    write_all(tmp_path, "and on ")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_concurrent_writers_do_not_mix_their_files(tmp_path: Path) -> None:
    with running(RIVAL, tmp_path, "x") as x, running(RIVAL, tmp_path, "y") as y:
        seen: set[str] = set()
        for turn in range(20_000):
            if turn > 200 and len(seen) == 2:
                break
            check_complete(tmp_path)
            with atomic_files._journal_lock(tmp_path):
                (text,) = {(tmp_path / name).read_text() for name in "abc"}
            seen.add(text.split()[0])
        for process in (x, y):
            assert process.poll() is None
            process.kill()
    finish_interrupted(tmp_path)
    write_all(tmp_path, "and on ")
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    assert seen == {"x", "y"}


def test_full_disk_keeps_all_old_files(tiny_disk: Path) -> None:
    write_all(tiny_disk, "old ")
    with pytest.raises(GroovaeError, match="No space left on device"):
        write_all(tiny_disk, "new" * 10_000)
    assert contents(tiny_disk) == {"a": "old a", "b": "old b", "c": "old c"}


# Journals of other users, and locks that are never released


def as_another_user(*paths: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in paths:
        os.chown(path, 65534, 65534)


def write_journal(folder: Path) -> None:
    """Write a journal that is still to be obeyed: it replaces the file `a`."""
    (folder / ".a.12345678.tmp").write_text("new a")
    (folder / "a").write_text("old a")
    (folder / JOURNAL).write_text('{".a.12345678.tmp": "a"}')


def test_journal_of_another_user_is_not_obeyed(tmp_path: Path) -> None:
    write_journal(tmp_path)
    as_another_user(tmp_path / JOURNAL)
    write(tmp_path / "b")
    check_complete(tmp_path)
    assert (tmp_path / "a").read_text() == "old a"
    with pytest.raises(GroovaeError, match=rf"{JOURNAL}: this belongs to another user.*remove it"):
        write_all(tmp_path, "newer ")
    assert contents(tmp_path).keys() == {"a", "b", JOURNAL}
    assert (tmp_path / "a").read_text() == "old a"


def test_temporary_file_of_another_user_is_not_moved(tmp_path: Path) -> None:
    write_journal(tmp_path)
    as_another_user(tmp_path / ".a.12345678.tmp")
    write(tmp_path / "b")
    assert (tmp_path / "a").read_text() == "old a"
    assert not (tmp_path / JOURNAL).exists()


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_journal_that_is_not_a_file_is_not_obeyed(tmp_path: Path, kind: str) -> None:
    write_journal(tmp_path)
    journal = tmp_path / JOURNAL
    journal.rename(tmp_path / "theirs")
    if kind == "link":
        journal.symlink_to("theirs")
    else:
        (os.mkfifo if kind == "pipe" else os.mkdir)(journal)
    write(tmp_path / "b")
    check_complete(tmp_path)
    assert (tmp_path / "a").read_text() == "old a"
    with pytest.raises(GroovaeError, match=f"{JOURNAL}: .*remove it"):
        write_all(tmp_path, "newer ")


def test_reading_does_not_finish_renames(tmp_path: Path) -> None:
    write_journal(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(GroovaeError, match=f"{JOURNAL}: a command was stopped.*run it again"):
        check_complete(tmp_path)
    assert contents(tmp_path) == before


def test_journal_of_the_owner_of_a_folder_is_reported_to_readers(tmp_path: Path) -> None:
    write_journal(tmp_path)
    as_another_user(tmp_path, tmp_path / JOURNAL)
    with pytest.raises(GroovaeError, match="a command was stopped"):
        check_complete(tmp_path)


def test_link_in_the_place_of_a_new_journal_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    (tmp_path / f"{JOURNAL}.tmp").symlink_to("mine")
    write_all(tmp_path, "new ")
    assert contents(tmp_path) == {"a": "new a", "b": "new b", "c": "new c", "mine": "mine"}


@contextlib.contextmanager
def locked_by_another(path: Path) -> Iterator[None]:
    if not path.exists():
        path.touch()
    handle = os.open(path, os.O_RDONLY)  # another open file is as another process
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def test_locked_folder_is_written(tmp_path: Path) -> None:
    with locked_by_another(tmp_path):
        write(tmp_path / "file")
        write_all(tmp_path, "new ")
    assert contents(tmp_path) == {"a": "new a", "b": "new b", "c": "new c", "file": "new"}


def test_lock_that_is_never_released_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(atomic_files, "LOCK_SECONDS", 0.1)
    write_all(tmp_path, "old ")
    write(tmp_path / "other", "old")
    with (
        locked_by_another(tmp_path / atomic_files.JOURNAL_LOCK),
        pytest.raises(GroovaeError, match=r"another process has locked it for 0\.1 s"),
    ):
        write_all(tmp_path, "new ")
    assert set(contents(tmp_path).values()) == {"old a", "old b", "old c", "old", ""}


def test_many_files_take_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[Path] = []
    listdir = os.listdir

    def spy(folder: Path) -> list[str]:
        listed.append(folder)
        return listdir(folder)

    for number in range(3000):
        (tmp_path / str(number)).touch()
    monkeypatch.setattr(os, "listdir", spy)
    for number in range(300):
        write(tmp_path / str(number))
    assert len(listed) < 100
