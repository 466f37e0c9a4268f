"""`groovae serve` over real HTTP: what it serves, what it refuses, and its headers."""

import contextlib
import http.client
import io
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Groovae, assert_one_line
from web_export import served

from groovae.errors import GroovaeError, UsageError
from groovae.export import magentajs
from groovae.export.server import Handler, Server
from groovae.system.local_server import IDLE_SECONDS, MAX_CONNECTIONS


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder to serve, with files around it that must not be served."""
    site = tmp_path / "site"
    (site / "sub").mkdir(parents=True)
    (site / "empty").mkdir()
    (site / "index.html").write_text("<p>here</p>")
    (site / "a b.js").write_text("1")
    (site / "sub" / "index.html").write_text("<p>sub</p>")
    (site / "shard.bin").write_bytes(bytes(range(256)) * 4000)
    (site / ".hidden").write_text("hidden")
    (site / ".git").mkdir()
    (site / ".git" / "config").write_text("hidden")
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "site-too").mkdir()
    (tmp_path / "site-too" / "secret.txt").write_text("secret")
    (site / "out.txt").symlink_to(tmp_path / "secret.txt")
    (site / "out").symlink_to(tmp_path / "site-too")
    (site / "within.html").symlink_to(site / "index.html")
    (site / "env.txt").symlink_to(site / ".hidden")
    (site / "git").symlink_to(site / ".git")
    (site / "loop").symlink_to(site / "loop")
    os.mkfifo(site / "pipe")
    return site


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    with served(site) as url:
        yield url


def ask(
    url: str, path: str = "/", method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def answer_to(url: str, raw: bytes) -> bytes:
    """Send the bytes of a request and return the whole answer."""
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        ("/", b"<p>here</p>", "text/html; charset=utf-8"),
        ("/?a=1", b"<p>here</p>", "text/html; charset=utf-8"),
        ("/a%20b.js", b"1", "text/javascript; charset=utf-8"),
        ("/sub/", b"<p>sub</p>", "text/html; charset=utf-8"),
        ("/shard.bin", bytes(range(256)) * 4000, "application/octet-stream"),
        ("/within.html", b"<p>here</p>", "text/html; charset=utf-8"),
    ],
)
def test_files_are_served_with_their_media_type(
    url: str, path: str, body: bytes, media_type: str
) -> None:
    response, found = ask(url, path)
    assert (response.status, found) == (200, body)
    assert response.headers["Content-Type"] == media_type
    assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        *("/no.html", "/empty/", "/empty", "/sub", "/loop", "/pipe"),
        *("/.hidden", "/.git/config", "/%2ehidden", "/sub/../.hidden"),
        *("/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt"),
        *("/sub/../../secret.txt", "/..", "//../secret.txt", "/./index.html"),
        *("/out.txt", "/out/secret.txt", "/../site-too/secret.txt"),
        *("/env.txt", "/git/config"),
        *("/index.html/", "/%00", "/index.html%00.js", "/a" + "b" * 5000, "/%ff%fe"),
        *("/..%5csecret.txt", "/%252e%252e/secret.txt", "/%2fetc/passwd"),
    ],
)
def test_hidden_and_outside_paths_are_not_found(url: str, path: str) -> None:
    response, body = ask(url, path)
    assert (response.status, body) == (404, b"404 Not Found\n")


def test_absolute_paths_and_urls_stay_in_the_folder(url: str, tmp_path: Path) -> None:
    assert ask(url, f"/{tmp_path}/secret.txt")[0].status == 404
    # The form that proxies get.
    assert ask(url, "http://elsewhere/shard.bin", Host="localhost")[0].status == 200


def test_head_returns_the_length_without_a_body(url: str) -> None:
    response, body = ask(url, "/shard.bin", "HEAD")
    assert (response.status, body, response.headers["Content-Length"]) == (200, b"", "1024000")
    assert ask(url, "/no.bin", "HEAD")[0].status == 404


def test_unchanged_file_is_not_modified(url: str, site: Path) -> None:
    first, _ = ask(url, "/shard.bin")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    assert ask(url, "/shard.bin")[0].headers["ETag"] == tag
    again, body = ask(url, "/shard.bin", If_None_Match=f'"other", W/{tag}')
    assert (again.status, body, again.headers["ETag"]) == (304, b"", tag)
    for new in (b"n" * 1024000, b"new"):
        (site / "shard.bin").write_bytes(new)
        changed, body = ask(url, "/shard.bin", If_None_Match=tag)
        assert (changed.status, body) == (200, new)


def test_only_the_etag_says_whether_a_file_is_unchanged(url: str) -> None:
    first, _ = ask(url, "/shard.bin")
    response, _ = ask(url, "/shard.bin", If_Modified_Since=first.headers["Last-Modified"])
    assert response.status == 200


@pytest.mark.parametrize(("size_now", "sent"), [(100, 100), (300, 200)])
def test_a_file_that_changes_is_sent_up_to_its_first_size(
    tmp_path: Path, size_now: int, sent: int
) -> None:
    (tmp_path / "file").write_bytes(b"a" * 200)
    handler: Any = Handler.__new__(Handler)
    handler.close_connection, output = False, io.BytesIO()
    with open(tmp_path / "file", "rb") as file:

        class Source(io.BytesIO):
            fileno = file.fileno

        handler.copyfile(Source(b"a" * size_now), output)
    assert len(output.getvalue()) == sent
    assert handler.close_connection == (sent < 200)


@pytest.mark.parametrize("path", ["/", "/no.html"])
def test_cors_allows_any_origin(site: Path, path: str) -> None:
    with served(site, cors=True) as url:
        check_cors(url, path)


def check_cors(url: str, path: str) -> None:
    response, _ = ask(url, path, Origin="http://127.0.0.1:3000")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    asked, body = ask(url, path, "OPTIONS", Access_Control_Request_Method="GET")
    assert (asked.status, body) == (204, b"")
    assert asked.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert asked.headers["Access-Control-Allow-Headers"] == "*"
    assert asked.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize("path", ["/", "/no.html"])
def test_other_origins_may_not_read_by_default(url: str, path: str) -> None:
    response, _ = ask(url, path, Origin="http://127.0.0.1:3000")
    assert "Access-Control-Allow-Origin" not in response.headers
    assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]", "[::1]:9"]
)
def test_loopback_hosts_are_answered(url: str, host: str) -> None:
    assert ask(url, Host=host)[0].status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost:x", "::1", ""],
)
def test_other_hosts_are_forbidden(url: str, host: str) -> None:
    response, body = ask(url, Host=host)
    assert (response.status, body) == (403, b"403 Forbidden\n")


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_exactly_one_host_is_required(url: str, hosts: bytes) -> None:
    assert answer_to(url, b"GET / HTTP/1.1\r\n" + hosts + b"\r\n").startswith(b"HTTP/1.1 400 ")


def test_connections_are_limited(site: Path) -> None:
    lines: list[str] = []
    with served(site, lines.append) as url, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", int(urlsplit(url).netloc.split(":")[1]))
        for _ in range(MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(address, timeout=20))
        assert ask(url)[0].status == 503
        stack.close()
        deadline = time.monotonic() + 20
        while ask(url)[0].status != 200:
            assert time.monotonic() < deadline
    assert lines[0] == f"503 Service Unavailable: {MAX_CONNECTIONS} connections are open"


def test_request_that_trickles_in_times_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groovae.system.local_server.REQUEST_SECONDS", 0.3)
    host, port = urlsplit(url).netloc.split(":")
    started = time.monotonic()
    client = socket.create_connection((host, int(port)), timeout=0.05)
    with client, contextlib.suppress(ConnectionError):
        while time.monotonic() < started + 20:
            client.sendall(b"G")
            with contextlib.suppress(TimeoutError):
                if not client.recv(1):
                    break
    assert time.monotonic() < started + 20


def test_lack_of_file_handles_is_no_busy_loop(url: str) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    host, port = urlsplit(url).netloc.split(":")
    with socket.socket() as client:
        free = os.dup(client.fileno())
        os.close(free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            client.connect((host, int(port)))
            started = time.process_time()
            time.sleep(0.5)
            seconds = time.process_time() - started
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert seconds < 0.2
    assert ask(url)[0].status == 200


@pytest.mark.parametrize("method", ["OPTIONS", "POST", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_not_allowed(url: str, method: str) -> None:
    response, _ = ask(url, "/index.html", method)
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 70000\r\nExpect: 100-continue\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n" + b"a" * 400_000, 413),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://[/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 404),
    ],
)
def test_bad_requests_get_their_status(url: str, raw: bytes, status: int) -> None:
    assert re.match(rb"HTTP/1\.1 %d " % status, answer_to(url, raw))
    assert ask(url)[0].status == 200


def test_small_body_is_skipped(url: str) -> None:
    body = b"x" * Handler.max_body_bytes
    head = b"GET /a%%20b.js HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = answer_to(url, head + body + b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 2


def test_disconnecting_clients_do_not_stop_the_server(url: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    for raw in (b"", b"GET / HT", b"GET /shard.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(raw)
    assert ask(url)[0].status == 200


def test_client_that_is_still_sending_gets_the_answer(url: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n")
        answer = connection.recv(1 << 16)
        for _ in range(30):
            connection.sendall(b"a" * 100_000)  # raises if the connection was reset
        connection.shutdown(socket.SHUT_WR)
        answer += b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_idle_connection_times_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Handler.timeout == IDLE_SECONDS
    monkeypatch.setattr(Handler, "timeout", 0.05)
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        assert connection.recv(1) == b""


def test_failed_requests_are_logged_without_control_characters(site: Path) -> None:
    lines: list[str] = []
    with Server(site, 0, lines.append) as server:
        assert server.server_address[0] == "127.0.0.1"
    with served(site, lines.append) as url:
        answer_to(url, b"GET /\x1b[31m%1b HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ask(url, "/")
    assert len(lines) == 1
    assert re.fullmatch(r"404 Not Found: GET /\\x1b\[31m%1b HTTP/1\.1", lines[0])


def test_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=re.escape(str(tmp_path / "no"))):
        Server(tmp_path / "no", 0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range_is_a_usage_error(tmp_path: Path, port: int) -> None:
    with pytest.raises(UsageError, match=f"65535, got {port}"):
        Server(tmp_path, port)


# The command


@pytest.fixture
def exported(trained: Path, tmp_path: Path) -> Path:
    magentajs.export(trained, tmp_path / "web")
    return tmp_path / "web"


def test_occupied_port_suggests_another(groovae: Groovae, exported: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = groovae("serve", exported, f"--port={port}")
    assert_one_line(result, 1, f"port {port} of 127.0.0.1", "--port=0")
    assert result.stdout == ""


def test_folder_without_an_export_is_an_error(groovae: Groovae, tmp_path: Path) -> None:
    assert_one_line(groovae("serve", tmp_path), 1, "no model", "groovae export --format=magentajs")
    assert_one_line(groovae("serve"), 2, "DIR missing")
    assert_one_line(groovae("serve", tmp_path, "--port=70000"), 2, "port")


def test_missing_shard_is_an_error(groovae: Groovae, exported: Path) -> None:
    (exported / "group1-shard1of1.bin").unlink()
    assert_one_line(groovae("serve", exported), 1, "group1-shard1of1.bin: No such file")


def test_serve_runs_until_ctrl_c(exported: Path) -> None:
    process: Any = subprocess.Popen(
        [sys.executable, "-m", "groovae", "serve", str(exported), "--port=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert select.select([process.stdout], [], [], 60)[0]
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", url)
        response, body = ask(url, "/config.json")
        assert (response.status, body) == (200, (exported / "config.json").read_bytes())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.splitlines()[0].startswith("groovae_4bar, step 3")
    assert "Ctrl-C" in stderr.splitlines()[-1]
    assert "Traceback" not in stderr
