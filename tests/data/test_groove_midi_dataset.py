"""Tests of groovae.data.groove_midi_dataset.download."""

import contextlib
import dataclasses
import hashlib
import io
import re
import stat
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line

from groovae.data import groove_midi_dataset
from groovae.data.groove_midi_dataset import GROOVE, download
from groovae.errors import GroovaeError, UsageError
from groovae.system import download as system_download
from groovae.system.download import RemoteFile

INFO = "drummer,session\n"


class Server(ThreadingHTTPServer):
    """Send the bytes of `raw_answer` unchanged, and count the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.raw_answer, self.calls = b"", 0

    def answer(self, raw: bytes) -> str:
        """Set the answer, and return its URL."""
        self.raw_answer, self.calls = raw, 0
        return f"http://127.0.0.1:{self.server_port}/groove.zip"

    def serve(self, content: bytes) -> str:
        return self.answer(
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content
        )


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.calls += 1
        with contextlib.suppress(ConnectionError):  # the client may close the connection
            self.wfile.write(self.server.raw_answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as monkeypatch, Server() as server:
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def zip_of(*members: tuple[str, str], mode: int = stat.S_IFREG | 0o644) -> bytes:
    """Return a zip of (name, text); a name that ends with a slash is a folder."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, text)
    return file.getvalue()


GOOD = zip_of(("groove/", ""), ("groove/info.csv", INFO), ("groove/d1/s1/a.mid", "MThd" * 20_000))


def archive_of(content: bytes, url: str) -> RemoteFile:
    return RemoteFile(url, hashlib.sha256(content).hexdigest(), len(content))


def assert_fails(tmp_path: Path, archive: RemoteFile, message: str) -> None:
    with pytest.raises(GroovaeError, match=message):
        download(tmp_path / "groove", archive)
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


# download


@pytest.mark.parametrize("exists", [False, True])
def test_archive_is_unpacked(tmp_path: Path, server: Server, exists: bool) -> None:
    dest = tmp_path / "data" / "groove"
    if exists:
        dest.mkdir(parents=True)
    done: list[int] = []
    archive = archive_of(GOOD, server.serve(GOOD))
    assert download(dest, archive, done.append) == dest
    files = {str(p.relative_to(dest)): p.read_text() for p in dest.rglob("*") if p.is_file()}
    assert files == {"info.csv": INFO, "d1/s1/a.mid": "MThd" * 20_000}
    assert list(dest.parent.iterdir()) == [dest]
    assert done == sorted(done)
    assert done[-1] == len(GOOD)


@pytest.mark.parametrize(
    "content",
    [GOOD + b"x", GOOD[:-1], b"", b"\0" + GOOD[1:], GOOD * 100],
    ids=["longer", "shorter", "empty", "other hash", "endless"],
)
def test_wrong_contents_raise(tmp_path: Path, server: Server, content: bytes) -> None:
    archive = archive_of(GOOD, server.serve(content))
    assert_fails(tmp_path, archive, f"expected {len(GOOD):,}")


def test_wrong_size_raises(tmp_path: Path, server: Server) -> None:
    archive = dataclasses.replace(archive_of(GOOD, server.serve(GOOD)), size=len(GOOD) + 1)
    assert_fails(tmp_path, archive, "expected")


def test_download_stops_at_the_expected_size(tmp_path: Path, server: Server) -> None:
    done: list[int] = []
    with pytest.raises(GroovaeError, match="expected"):
        download(tmp_path / "groove", archive_of(GOOD, server.serve(b"x" * 5_000_000)), done.append)
    assert done[-1] <= len(GOOD) + system_download.CHUNK_BYTES


def test_download_of_unknown_size_stops_at_max_bytes(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system_download, "MAX_BYTES", len(GOOD))
    done: list[int] = []
    archive = dataclasses.replace(archive_of(GOOD, server.serve(b"x" * 5_000_000)), size=None)
    with pytest.raises(GroovaeError, match="expected"):
        download(tmp_path / "groove", archive, done.append)
    assert done[-1] <= len(GOOD) + system_download.CHUNK_BYTES
    download(tmp_path / "groove", dataclasses.replace(archive, url=server.serve(GOOD)))


def test_full_disk_raises(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = archive_of(GOOD, server.serve(GOOD))
    with open("/dev/full", "w+b") as full:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
        assert_fails(tmp_path, archive, "No space left")


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + GOOD[:100], "100 bytes|Incomplete"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nPK", "cannot download"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "Not Found"),
        (b"HTTP/1.1 500 Broken\r\n\r\n", "Broken"),
        (b"HTTP/1.1 302 Go\r\nLocation: gopher://a/\r\n\r\n", "cannot download"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "cannot download"),
        (b"", "cannot download"),
    ],
    ids=["cut", "cut chunk", "404", "500", "strange redirect", "not HTTP", "hung up"],
)
def test_invalid_http_answer_raises(
    tmp_path: Path, server: Server, answer: bytes, message: str
) -> None:
    assert_fails(tmp_path, archive_of(GOOD, server.answer(answer)), message)


def test_refused_connection_raises(tmp_path: Path) -> None:
    with Server() as closed:
        url = closed.serve(GOOD)
    assert_fails(tmp_path, archive_of(GOOD, url), "refused")


@pytest.mark.parametrize("url", ["groove.zip", "http://a b/", "http://127.0.0.1:port/"])
def test_invalid_url_is_a_usage_error(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match=re.escape(url)):
        download(tmp_path / "groove", archive_of(GOOD, url))
    assert list(tmp_path.iterdir()) == []


def outside(name: str) -> tuple[bytes, str]:
    return zip_of(("groove/info.csv", INFO), (name, "evil")), "a member lies outside the folder"


BAD_ARCHIVES = {
    "above": outside("../evil"),
    "up and out": outside("groove/../../evil"),
    "absolute": outside("/evil"),
    "absolute folder": outside("/groove/evil"),
    "backslash": outside("groove/..\\evil"),
    "other folder": outside("other/evil"),
    "no folder": outside("evil"),
    "link": (zip_of(("groove/evil", "/etc"), mode=stat.S_IFLNK | 0o777), "a member is a link"),
    "file in the way": (zip_of(("groove/a", "a file"), ("groove/a/b", "in it")), "cannot write"),
    "text": (b"no zip at all", "this is not a zip file"),
    "half": (GOOD[:-30], "this is not a zip file"),
}


@pytest.mark.parametrize(("content", "message"), BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_malicious_or_damaged_archive_raises(
    tmp_path: Path, server: Server, content: bytes, message: str
) -> None:
    assert_fails(tmp_path, archive_of(content, server.serve(content)), message)
    assert not (tmp_path.parent / "evil").exists()
    assert not Path("/evil").exists()


def test_zip_bomb_raises(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groove_midi_dataset, "MAX_UNPACKED_BYTES", 20_000)
    assert_fails(tmp_path, archive_of(GOOD, server.serve(GOOD)), "too large to unpack")


@pytest.mark.parametrize("is_file", [False, True])
def test_existing_destination_is_kept(tmp_path: Path, server: Server, is_file: bool) -> None:
    mine = tmp_path / "groove" if is_file else tmp_path / "groove" / "mine"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(GroovaeError, match="this folder is not empty"):
        download(tmp_path / "groove", archive_of(GOOD, server.serve(GOOD)))
    assert mine.read_text() == "mine"
    assert server.calls == 0


def test_command_rejects_wrong_contents(groovae: Groovae, tmp_path: Path, server: Server) -> None:
    result = groovae("download", f"--url={server.serve(GOOD)}", "--dest=groove")
    assert_one_line(result, 1, f"expected {GROOVE.size:,}")
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_command_rejects_invalid_url(groovae: Groovae, tmp_path: Path) -> None:
    assert_one_line(groovae("download", "--url=groove.zip"), 2, "groove.zip")
    assert list(tmp_path.iterdir()) == []
