"""HTTP server for one folder on this machine, so that a browser can load an exported model.

    from groovae.export.server import Server
    with Server("web", port=8000) as server:
        print(server.url)
        server.serve_forever()

- It listens on 127.0.0.1 and serves files by GET and HEAD, with index.html for a folder. Folders
  are not listed, and names that begin with a dot are hidden.
- Paths are resolved, symbolic links included, before they are checked to lie in the folder.
- Only requests to a loopback name (`Host`) are answered, so that a web page whose name resolves to
  127.0.0.1 cannot read the files. Pages of other origins (ports) may load them only with `cors`.
- At most 64 connections are open at a time, and a request takes at most 5 minutes.
- Browsers cache files and revalidate them on each use (`ETag`, 304), so a new export shows at once.
- Request lines (414), headers (431) and bodies (413) that are too long are refused.
"""

import contextlib
import errno
import functools
import http
import os
import re
import socket
import sys
import time
import urllib.parse
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from groovae import __version__
from groovae.errors import GroovaeError, UsageError
from groovae.system.log import Log, no_log

HOST = "127.0.0.1"
MAX_BODY_BYTES = 1 << 16  # bodies are ignored
MAX_CONNECTIONS = 64
IDLE_SECONDS = 30
REQUEST_SECONDS = 300  # with its answer
LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NO_RESOURCES = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
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
      log: Called with a line for each failed request.
      cors: Whether pages of other origins may load the files.
      deadlines: When the request of each open connection must be done, in monotonic seconds.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        folder: str | os.PathLike[str],
        port: int = 8000,
        log: Log = no_log,
        cors: bool = False,
    ):
        """Start to listen.

        Args:
          folder: The folder to serve.
          port: 1 to 65535, or 0 for any free port.
          log: See the attribute; likewise `cors`.

        Raises:
          UsageError: the port is out of range.
          GroovaeError: the folder does not exist, or the port is not available.
        """
        if not 0 <= port <= 65535:
            raise UsageError(f"port must be 0 to 65535, got {port}")
        self.folder, self.log = Path(folder).expanduser().resolve(), log
        self.cors, self.deadlines = cors, dict[Any, float]()
        if not self.folder.is_dir():
            raise GroovaeError(f"{folder}: no such folder to serve")
        try:
            super().__init__((HOST, port), functools.partial(Handler, directory=str(self.folder)))
        except OSError as error:
            raise GroovaeError(_port_message(port, error)) from error

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_address[1]}/"

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in NO_RESOURCES:
                time.sleep(0.2)  # The connection stays ready to be accepted: do not spin.
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Handle a connection in a thread, or refuse it if too many are open."""
        if len(self.deadlines) < MAX_CONNECTIONS:
            self.extend_deadline(request)
            super().process_request(request, client_address)
            return
        self.log(f"503 Service Unavailable: {MAX_CONNECTIONS} connections are open")
        with contextlib.suppress(OSError):
            request.sendall(UNAVAILABLE)
        self.shutdown_request(request)

    def extend_deadline(self, request: Any) -> None:
        self.deadlines[request] = time.monotonic() + REQUEST_SECONDS

    def shutdown_request(self, request: Any) -> None:
        self.deadlines.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Shut down connections whose request takes too long; called twice a second."""
        for request, deadline in list(self.deadlines.items()):
            if time.monotonic() > deadline:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):  # raised when a client disconnects
            self.log(f"{type(error).__name__}: {error}")

    def find(self, target: str) -> Path | None:
        """Return the file that a request target names, or None if it is not to be served."""
        try:
            parts = urllib.parse.unquote(urllib.parse.urlsplit(target).path).split("/")
            name = "/".join(filter(None, parts)) + ("" if parts[-1] else "/index.html")
            path = (self.folder / name.lstrip("/")).resolve()
            parts += path.relative_to(self.folder).parts
            is_hidden = any(part.startswith(".") for part in parts)
            return path if path.is_file() and not is_hidden else None
        # A NUL, a name that is too long, a loop of links, or a path outside of the folder.
        except (OSError, RuntimeError, ValueError):
            return None


class Handler(SimpleHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"groovae/{__version__}", ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    timeout = IDLE_SECONDS
    _etag = ""

    def handle_one_request(self) -> None:
        self.server.extend_deadline(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        if not super().parse_request() or not self._check_body() or not self._check_host():
            return False
        self.rfile.read(self._body_bytes())  # It would be read as the next request.
        return True

    def handle_expect_100(self) -> bool:
        return self._check_body() and super().handle_expect_100()

    def do_OPTIONS(self) -> None:
        """Answer a CORS preflight request."""
        if not self.server.cors:
            self.send_error(http.HTTPStatus.METHOD_NOT_ALLOWED)
            return
        self.send_response(http.HTTPStatus.NO_CONTENT)
        self.send_header("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
        self.send_header("Access-Control-Allow-Headers", "*")
        self.send_header("Access-Control-Max-Age", "86400")
        self.end_headers()

    def _refuse(self) -> None:
        self.send_error(http.HTTPStatus.METHOD_NOT_ALLOWED)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_TRACE = do_CONNECT = _refuse

    def translate_path(self, path: str) -> str:
        return str(self.server.find(path) or "")  # which cannot be opened: 404

    def guess_type(self, path: Any) -> str:
        return MEDIA_TYPES.get(Path(path).suffix.lower(), "application/octet-stream")

    def send_head(self) -> Any:
        """Answer 304 if the client has this version of the file, by its ETag alone.

        Last-Modified has a resolution of one second: an export may be newer.
        """
        del self.headers["If-Modified-Since"]
        if path := self.server.find(self.path):
            status = path.stat()
            self._etag = f'"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"'
            known = re.split(r",\s*", self._header("If-None-Match").replace("W/", ""))
            if self._etag in known or "*" in known:
                self.send_response(http.HTTPStatus.NOT_MODIFIED)
                self.end_headers()
                return None
        return super().send_head()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        """Send no more than the size in the header; close the connection if the file shrinks."""
        left = os.fstat(source.fileno()).st_size
        while left and (block := source.read(min(left, 1 << 18))):
            outputfile.write(block)
            left -= len(block)
        self.close_connection |= left > 0

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        if self.server.cors:
            self.send_header("Access-Control-Allow-Origin", "*")
        policy = "cross-origin" if self.server.cors else "same-origin"
        self.send_header("Cross-Origin-Resource-Policy", policy)
        self.send_header("X-Content-Type-Options", "nosniff")
        if code >= 400:
            self.send_header("Cache-Control", "no-store")
        elif code != http.HTTPStatus.NO_CONTENT:
            self.send_header("Cache-Control", "no-cache")
            self.send_header("ETag", self._etag)
        if code == http.HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD, OPTIONS" if self.server.cors else "GET, HEAD")

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with a line of text, log it, and close the connection."""
        self.request_version = self.protocol_version  # HTTP/0.9 would get no status line.
        super().send_error(code)
        request = ascii((getattr(self, "requestline", "") or "")[:200])[1:-1]
        self.server.log(f"{code} {http.HTTPStatus(code).phrase}: {request}")

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: `send_error` logs what failed."""

    def finish(self) -> None:
        """Read some more before closing: a reset while a client sends would lose the answer."""
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            for _ in range(64):
                if not self.connection.recv(1 << 16):
                    break
        except OSError:
            pass

    def _check_body(self) -> bool:
        """Return whether the body, if any, is small enough to skip; answer an error if not."""
        if "Transfer-Encoding" in self.headers:
            self.send_error(http.HTTPStatus.LENGTH_REQUIRED)
        elif self._body_bytes() > MAX_BODY_BYTES:
            self.send_error(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return True
        return False

    def _check_host(self) -> bool:
        """Return whether the request is to a loopback name; answer an error if not."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            self.send_error(http.HTTPStatus.BAD_REQUEST)
        elif not LOOPBACK.fullmatch(hosts[0].strip()):
            self.send_error(http.HTTPStatus.FORBIDDEN)
        else:
            return True
        return False

    def _body_bytes(self) -> int:
        """Return the Content-Length; an invalid one counts as too large."""
        length = self._header("Content-Length") or "0"
        return int(length) if re.fullmatch("[0-9]{1,15}", length) else sys.maxsize

    def _header(self, name: str) -> str:
        return self.headers.get(name, "")


def _port_message(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {HOST} is in use by another program; choose another with --port, or "
            "--port=0 for any free one"
        )
    return f"cannot listen on port {port} of {HOST}: {error.strerror or error}; choose another port"
