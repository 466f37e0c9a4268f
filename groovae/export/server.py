"""HTTP server for one folder on this machine, so that a browser can load an exported model.

    from groovae.export.server import Server
    with Server("web", port=8000) as server:
        print(server.url)
        server.serve_forever()

- It listens on 127.0.0.1 and serves files by GET and HEAD, with index.html for a folder. Folders
  are not listed, and names that begin with a dot are hidden.
- Paths are resolved, symbolic links included, before they are checked to lie in the folder.
- Pages of other origins (ports) may load the files only with `cors`.
- Browsers cache files and revalidate them on each use (`ETag`, 304), so a new export shows at once.
- Its limits, and the requests that it refuses, are those of system/local_server.py.
"""

import functools
import http
import os
import re
import urllib.parse
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError
from groovae.system.local_server import MEDIA_TYPES, LocalHandler, LocalServer
from groovae.system.log import Log, no_log


class Server(LocalServer):
    """Serves a folder until it is closed.

    Attributes:
      folder: The folder, resolved.
      cors: Whether pages of other origins may load the files.
    """

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
          log: Called with a line for each failed request.
          cors: See the attribute.

        Raises:
          UsageError: the port is out of range.
          GroovaeError: the folder does not exist, or the port is not available.
        """
        self.folder, self.cors = Path(folder).expanduser().resolve(), cors
        if not self.folder.is_dir():
            raise GroovaeError(f"{folder}: no such folder to serve")
        super().__init__(port, functools.partial(Handler, directory=str(self.folder)), log)

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


class Handler(LocalHandler, SimpleHTTPRequestHandler):
    """Answers the requests of one connection."""

    server: Server
    _etag = ""

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
            known = re.split(r",\s*", self.header("If-None-Match").replace("W/", ""))
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
