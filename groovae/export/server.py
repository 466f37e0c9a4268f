"""A folder over HTTP on this machine alone: what a browser needs to load an exported model.

    from groovae.export.server import Server
    with Server("web", port=8000) as server:
        print(server.url)
        server.serve_forever()

The rules:

- It listens on 127.0.0.1 and gives out the files of the folder by GET and HEAD, and index.html for
  a folder that has one. It lists no folder, and shows nothing that begins with a dot.
- Nothing outside of the folder: a path is resolved first, symbolic links and all, and must lie in
  it then, where no part of it begins with a dot either.
- Any page may load the files (CORS), as one of another port of this machine must be able to.
- Browsers keep files and ask each time whether they are still the same (`ETag`, 304), so that a
  new export shows at once.
- What is too long is refused: a request line (414), headers (431), a body (413).
"""

import errno
import http
import os
import re
import socket
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from groovae import __version__
from groovae.errors import GroovaeError, UsageError
from groovae.system.log import Log, no_log

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 16  # no request that is answered needs one
SECONDS_FOR_A_REQUEST = 30
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json; charset=utf-8",
    ".bin": "application/octet-stream",
    ".mid": "audio/midi",
    ".midi": "audio/midi",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wav": "audio/wav",
    ".txt": "text/plain; charset=utf-8",
}


class Server(ThreadingHTTPServer):
    """Serves a folder until it is closed.

    Attributes:
      folder: The folder, resolved.
      log: Gets a line on each request that failed.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        folder: str | os.PathLike[str],
        port: int = 8000,
        log: Log = no_log,
    ):
        """Begins to listen.

        Args:
          folder: What to serve.
          port: 1 to 65535, or 0 for any that is free.
          log: See above.

        Raises:
          UsageError: there are no such ports.
          GroovaeError: there is no such folder, or the port cannot be had.
        """
        if not 0 <= port <= 65535:
            raise UsageError(f"the port must lie between 0 and 65535, got {port}")
        self.folder, self.log = Path(folder).expanduser().resolve(), log
        if not self.folder.is_dir():
            raise GroovaeError(f"{folder}: there is no such folder to serve")
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise GroovaeError(_why_no_port(port, error)) from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # which a client that went away is
            self.log(f"{type(error).__name__}: {error}")

    def find(self, target: str) -> Path | None:
        """The file that a request's target names, or None where there is none to give out."""
        try:
            parts = urllib.parse.unquote(urllib.parse.urlsplit(target).path).split("/")
            name = "/".join(filter(None, parts)) + ("" if parts[-1] else "/index.html")
            path = (self.folder / name.lstrip("/")).resolve()
            parts += path.relative_to(self.folder).parts
            is_hidden = any(part.startswith(".") for part in parts)
            return path if path.is_file() and not is_hidden else None
        # a NUL, a name too long, a loop of links, a place outside
        except (OSError, RuntimeError, ValueError):
            return None


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"groovae/{__version__}", ""
    timeout = SECONDS_FOR_A_REQUEST

    def parse_request(self) -> bool:
        if not super().parse_request() or not self._has_small_body():
            return False
        self.rfile.read(self._body_bytes())  # or it would be taken for the next request
        return True

    def handle_expect_100(self) -> bool:
        return self._has_small_body() and super().handle_expect_100()

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_OPTIONS(self) -> None:
        """What a browser asks before a request of another origin that has headers of its own."""
        self.send_response(http.HTTPStatus.NO_CONTENT)
        self.send_header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Max-Age", "86400")
        self.end_headers()

    def _refuse(self) -> None:
        self.send_error(http.HTTPStatus.METHOD_NOT_ALLOWED)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_TRACE = do_CONNECT = _refuse

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Cross-Origin-Resource-Policy", "cross-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answers with a line of text, tells of it, and ends the connection."""
        phrase = http.HTTPStatus(code).phrase
        body = f"{code} {phrase}\n".encode()
        self.close_connection = True
        self.request_version = self.protocol_version  # or what was no HTTP gets no status line
        self.send_response(code)
        self.send_header("Connection", "close")
        self.send_header("Cache-Control", "no-store")
        if code == http.HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD, OPTIONS")
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        request = ascii((getattr(self, "requestline", "") or "")[:200])[1:-1]
        self.server.log(f"{code} {phrase}: {request}")

    def log_message(self, format: str, *args: Any) -> None:
        """What goes well is not worth a line."""

    def finish(self) -> None:
        """Reads a little of what still comes: who is cut off while sending never sees an answer."""
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            for _ in range(64):
                if not self.connection.recv(1 << 16):
                    break
        except OSError:
            pass

    def _has_small_body(self) -> bool:
        """Whether there is a body that can be passed over; if there is another, it is refused."""
        if "Transfer-Encoding" in self.headers:
            self.send_error(http.HTTPStatus.LENGTH_REQUIRED)
        elif not 0 <= self._body_bytes() <= MAX_BODY_BYTES:
            self.send_error(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return True
        return False

    def _body_bytes(self) -> int:
        """What the request says; one that is no number is as good as infinite."""
        length = self._header("Content-Length") or "0"
        return int(length) if re.fullmatch("[0-9]{1,15}", length) else sys.maxsize

    def _answer(self, with_body: bool) -> None:
        path = self.server.find(self.path)
        try:
            if path is None:
                raise FileNotFoundError
            with open(path, "rb") as file:
                self._send(file, path.suffix.lower(), with_body)
        except (FileNotFoundError, PermissionError):
            self.send_error(http.HTTPStatus.NOT_FOUND)

    def _send(self, file: IO[bytes], suffix: str, with_body: bool) -> None:
        status = os.fstat(file.fileno())
        tag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
        known = [one.strip().removeprefix("W/") for one in self._header("If-None-Match").split(",")]
        is_known = tag in known or "*" in known
        self.send_response(http.HTTPStatus.NOT_MODIFIED if is_known else http.HTTPStatus.OK)
        self.send_header("Cache-Control", "no-cache")
        self.send_header("ETag", tag)
        if not is_known:
            media_type = MEDIA_TYPES.get(suffix, "application/octet-stream")
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(status.st_size))
        self.end_headers()
        if with_body and not is_known:
            self._copy(file, status.st_size)

    def _copy(self, file: IO[bytes], size: int) -> None:
        """Sends `size` bytes and no more; a file that has grown shorter ends the connection."""
        while size:
            block = file.read(min(size, 1 << 18))
            if not block:
                self.close_connection = True
                return
            self.wfile.write(block)
            size -= len(block)

    def _header(self, name: str) -> str:
        return self.headers.get(name, "")


def _why_no_port(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {HOST} is in use by another program; name another one with --port, "
            "or --port=0 for any that is free"
        )
    return f"cannot listen on port {port} of {HOST}: {error.strerror or error}; name another --port"
