"""The HTTP server that serves this machine only: its limits, and the requests that it refuses.

`LocalServer` listens on 127.0.0.1, and `LocalHandler` answers the requests of one connection. The
servers of groovae derive from them: of a folder (export/server.py), and of the studio.

- Only requests to a loopback name (`Host`) are answered, so that a web page whose name resolves to
  127.0.0.1 cannot read anything.
- At most 64 connections are open at a time, and a request takes at most 5 minutes.
- Request lines (414), headers (431) and bodies (413) that are too long are refused.
"""

import contextlib
import errno
import http
import os
import re
import socket
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from groovae import __version__
from groovae.errors import GroovaeError, UsageError
from groovae.system.log import Log

HOST = "127.0.0.1"
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


class LocalServer(ThreadingHTTPServer):
    """Serves until it is closed, each connection in a thread.

    Attributes:
      log: Called with a line for each failed request.
      deadlines: When the request of each open connection must be done, in monotonic seconds.
    """

    daemon_threads = True
    request_queue_size = 64
    allow_reuse_address = os.name == "posix"  # Windows would let two servers have one port

    def __init__(self, port: int, handler: Any, log: Log):
        """Start to listen.

        Args:
          port: 1 to 65535, or 0 for any free port.
          handler: Makes a `LocalHandler` of the arguments of `BaseRequestHandler`.
          log: See the attribute.

        Raises:
          UsageError: the port is out of range.
          GroovaeError: the port is not available.
        """
        if not 0 <= port <= 65535:
            raise UsageError(f"port must be 0 to 65535, got {port}")
        self.log, self.deadlines = log, dict[Any, float]()
        try:
            super().__init__((HOST, port), handler)
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


class LocalHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection.

    Attributes:
      body: The body of the request.
      max_body_bytes: Of a body.
    """

    server: LocalServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = f"groovae/{__version__}", ""
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True  # or each small answer would wait 40 ms for an acknowledgment
    body = b""
    max_body_bytes = 1 << 16

    def handle_one_request(self) -> None:
        self.server.extend_deadline(self.connection)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Parse and check a request, and read its body: it would be read as the next request."""
        if not super().parse_request() or not self._check_body() or not self.check_access():
            return False
        self.body = self.rfile.read(self._body_bytes())
        return True

    def handle_expect_100(self) -> bool:
        return self._check_body() and self.check_access() and super().handle_expect_100()

    def check_access(self) -> bool:
        """Return whether the request is to a loopback name; answer an error if not."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1:
            self.send_error(http.HTTPStatus.BAD_REQUEST)
        elif not LOOPBACK.fullmatch(hosts[0].strip()):
            self.send_error(http.HTTPStatus.FORBIDDEN)
        else:
            return True
        return False

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

    def header(self, name: str) -> str:
        """Return a header of the request, empty if it has none of this name."""
        return self.headers.get(name, "")

    def _check_body(self) -> bool:
        """Return whether the body, if any, is small enough; answer an error if not."""
        if "Transfer-Encoding" in self.headers:
            self.send_error(http.HTTPStatus.LENGTH_REQUIRED)
        elif self._body_bytes() > self.max_body_bytes:
            self.send_error(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        else:
            return True
        return False

    def _body_bytes(self) -> int:
        """Return the Content-Length; an invalid one counts as too large."""
        length = self.header("Content-Length") or "0"
        return int(length) if re.fullmatch("[0-9]{1,15}", length) else sys.maxsize


def _port_message(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {HOST} is in use by another program; choose another with --port, or "
            "--port=0 for any free one"
        )
    return f"cannot listen on port {port} of {HOST}: {error.strerror or error}; choose another port"
