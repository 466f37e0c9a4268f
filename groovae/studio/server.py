"""The HTTP server of the studio: its page, and the API that the page uses.

    with StudioServer(models, port=0) as server:
        print(server.url)
        server.serve_forever()

All paths are below a random token, which only the printed URL has: another program or web page does
not find the studio. Requests from pages of other origins are refused (`Origin`, `Sec-Fetch-Site`),
and the page may load nothing from elsewhere nor run scripts of others (`Content-Security-Policy`).
For the limits of the server see system/local_server.py.
"""

import collections
import hmac
import http
import json
import re
import secrets
import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from groovae import __version__
from groovae.errors import GroovaeError, UsageError
from groovae.music.drums import CLASS_NAMES, GM
from groovae.studio import files
from groovae.studio.actions import NAMES, Actions
from groovae.studio.arguments import Arguments
from groovae.studio.grooves import TooLarge, clean_name
from groovae.studio.models import Busy, Models
from groovae.studio.sounds import VELOCITIES, Sounds
from groovae.system.local_server import MEDIA_TYPES, LocalHandler, LocalServer
from groovae.system.log import Log, no_log

STATIC = Path(__file__).with_name("static")
DEFAULT_PORT = 8808  # one port, since browsers keep what a page stores by its port
MAX_KEPT_FILES = 32
MAX_BODY_BYTES = 10_000_000  # two grooves of MAX_HITS
SOUND = re.compile(f"sounds/([0-{len(GM) - 1}])-([0-{len(VELOCITIES) - 1}])\\.wav")
START = '<script type="application/json" id="start">'  # in index.html
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class StudioServer(LocalServer):
    """Serves the studio until it is closed.

    Attributes:
      token: The first part of all paths.
      grooves: Those of the files given on the command line, in JSON.
      midi_files: Key, content and `Content-Disposition` of the last MIDI files that were made, to
        be fetched by a browser that drags them out of its window.
    """

    def __init__(
        self,
        models: Models,
        port: int | None = 0,
        grooves: Sequence[dict[str, Any]] = (),
        soundfont: str | None = None,
        log: Log = no_log,
    ):
        """Start to listen; without a port at DEFAULT_PORT, or any free one if that is in use."""
        self.token = secrets.token_urlsafe(16)
        self.models, self.actions = models, Actions(models)
        self.grooves, self.soundfont, self.sounds = list(grooves), soundfont, Sounds(soundfont)
        self.midi_files = collections.deque[tuple[str, bytes, str]](maxlen=MAX_KEPT_FILES)
        try:
            super().__init__(DEFAULT_PORT if port is None else port, StudioHandler, log)
        except GroovaeError:
            if port is not None:
                raise
            log(f"port {DEFAULT_PORT} is in use: the page begins without its history")
            super().__init__(0, StudioHandler, log)

    @property
    def url(self) -> str:
        return f"{super().url}{self.token}/"

    def about(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "tasks": self.models.describe(),
            "styles": self.models.styles,
            "drums": [
                {"name": name, "pitch": pitches[0]}
                for name, pitches in zip(CLASS_NAMES, GM, strict=True)
            ],
            "checkpoints": list(self.models.names),
        }

    def page(self) -> str:
        """Return the page, with its modules to load at once and the data that it starts with."""
        modules = sorted(path.name for path in STATIC.glob("*.js") if path.name != "main.js")
        links = "".join(f'<link rel="modulepreload" href="{name}">\n' for name in modules)
        start = _to_json({"about": self.about(), "grooves": self.grooves}).replace("<", r"\u003c")
        html = (STATIC / "index.html").read_text(encoding="utf-8")
        html = html.replace("</head>", f"{links}</head>")
        return html.replace(f"{START}</script>", f"{START}{start}</script>")

    def map(self) -> dict[str, Any]:
        """Return the points of the map, with the index of their style; none without a map."""
        latent_map = self.models.map
        if latent_map is None:
            return {"styles": [], "points": []}
        places = latent_map.points.round(4).tolist()
        points = [
            [*place, style] for place, style in zip(places, latent_map.styles.tolist(), strict=True)
        ]
        return {"styles": latent_map.names, "points": points}


class StudioHandler(LocalHandler):
    """Answers the requests of one connection."""

    server: StudioServer
    error_content_type = "application/json"
    error_message_format = '{"error": "%(message)s"}\n'
    max_body_bytes = MAX_BODY_BYTES

    def check_access(self) -> bool:
        """Return whether a request has the token, and comes from the studio's own page, if any."""
        if not super().check_access():
            return False
        if not self._is_own():
            self.send_error(http.HTTPStatus.FORBIDDEN)
        elif not hmac.compare_digest(self._parts()[0].encode(), self.server.token.encode()):
            self.send_error(http.HTTPStatus.NOT_FOUND)
        else:
            return True
        return False

    def _is_own(self) -> bool:
        """Return whether a request comes from the page, from no page, or from a link to it."""
        if self.header("Origin") not in ("", f"http://{self.header('Host').strip()}"):
            return False
        is_link = self.header("Sec-Fetch-Mode") == "navigate"
        is_link &= self.header("Sec-Fetch-Dest") == "document" and self.command == "GET"
        return is_link or self.header("Sec-Fetch-Site") in ("", "same-origin", "none")

    def do_GET(self) -> None:
        path = self._parts()[1]
        if path.startswith("api/"):
            self._answer(self._get, path.removeprefix("api/"))
        elif self.path == f"/{self.server.token}":  # below which relative URLs would be wrong
            headers = {"Location": f"{self.path}/"}
            self._send(b"", "text/plain", headers, http.HTTPStatus.PERMANENT_REDIRECT)
        elif path in ("", "index.html"):
            self._send(self.server.page().encode(), MEDIA_TYPES[".html"])
        else:
            self._send_static(path)

    def do_POST(self) -> None:
        path = self._parts()[1]
        if path.startswith("api/"):
            self._answer(self._post, path.removeprefix("api/"))
        else:
            self._refuse()

    def _refuse(self) -> None:
        self.send_error(http.HTTPStatus.METHOD_NOT_ALLOWED)

    do_HEAD = do_OPTIONS = do_PUT = do_PATCH = do_DELETE = do_TRACE = do_CONNECT = _refuse

    def _parts(self) -> tuple[str, str]:
        """Return the token and the rest of the path, still quoted."""
        path = self.path.partition("?")[0]
        token, _, rest = path.removeprefix("/").partition("/")
        return token, rest

    def _answer(self, function: Callable[[str], None], name: str) -> None:
        """Answer a request of the API; an expected failure is its status and one line."""
        try:
            function(name)
        except TooLarge as error:
            self._send_failure(http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error)
        except UsageError as error:
            self._send_failure(http.HTTPStatus.BAD_REQUEST, error)
        except Busy as error:
            self._send_failure(http.HTTPStatus.TOO_MANY_REQUESTS, error)
        except GroovaeError as error:
            self._send_failure(http.HTTPStatus.INTERNAL_SERVER_ERROR, error)
        except (ConnectionError, TimeoutError):
            raise  # the browser has gone
        except Exception as error:  # such as a full disk
            self.server.log(f"unexpected {type(error).__name__}: {error}")
            self.send_error(http.HTTPStatus.INTERNAL_SERVER_ERROR)

    def _get(self, name: str) -> None:
        if name == "about":
            self._send_json(self.server.about())
        elif name == "map":
            self._send_json(self.server.map())
        elif name == "files":
            self._send_json({"grooves": self.server.grooves})
        elif name == "sounds":
            self._send_json(self.server.sounds.list())
        elif name.startswith("midi/"):
            self._send_kept_midi(name.removeprefix("midi/"))
        elif match := SOUND.fullmatch(name):
            drum, layer = map(int, match.groups())
            self._send(self.server.sounds.get(drum, layer), "audio/wav", cached=True)
        else:
            self.send_error(http.HTTPStatus.NOT_FOUND)

    def _post(self, name: str) -> None:
        if name == "read":
            groove, lines = files.read_midi(self.body, self._query_name())
            self._send_json({"grooves": [groove], "log": lines})
        elif name in ("midi", "wav"):
            self._send_file(name)
        elif name in NAMES:
            self._send_json(self.server.actions.answer(name, self._json()))
        else:
            self.send_error(http.HTTPStatus.NOT_FOUND)

    def _send_file(self, kind: str) -> None:
        arguments = Arguments(self._json())
        groove = arguments.groove("groove", for_model=False)
        arguments.check_all_taken()
        if kind == "midi":
            content, suffix = files.to_midi(groove), ".mid"
        else:
            content, suffix = files.to_wav(groove, self.server.soundfont), ".wav"
        name = urllib.parse.quote(f"{groove.filename or 'groove'}{suffix}", safe="")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
        if kind == "midi":
            key = secrets.token_urlsafe(8)
            self.server.midi_files.append((key, content, headers["Content-Disposition"]))
            headers["Content-Location"] = f"api/midi/{key}"
        self._send(content, MEDIA_TYPES[suffix], headers)

    def _send_kept_midi(self, wanted: str) -> None:
        for key, content, disposition in list(self.server.midi_files):
            if key == wanted:
                headers = {"Content-Disposition": disposition}
                self._send(content, MEDIA_TYPES[".mid"], headers)
                return
        self.send_error(http.HTTPStatus.NOT_FOUND)

    def _query_name(self) -> str:
        """Return the name in the query, without its suffix."""
        query = urllib.parse.parse_qs(self.path.partition("?")[2])
        name = query.get("name", ["groove"])[0]
        return clean_name(re.sub(r"\.midi?$", "", name, flags=re.IGNORECASE))

    def _json(self) -> Any:
        """Return the body as JSON, which has no NaN or infinity."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        try:
            return json.loads(self.body, parse_constant=refuse)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"the body is not JSON: {error}") from error

    def _send_static(self, path: str) -> None:
        """Send a file of the page; those of the package only, by their names."""
        file = STATIC / path
        is_there = re.fullmatch(r"[\w-]+(/[\w-]+)*\.\w+", path) and file.is_file()
        if not is_there:
            self.send_error(http.HTTPStatus.NOT_FOUND)
            return
        media_type = MEDIA_TYPES.get(file.suffix, "application/octet-stream")
        self._send(file.read_bytes(), media_type)

    def _send_failure(self, code: http.HTTPStatus, error: Exception) -> None:
        self._send_json({"error": " ".join(str(error).split())}, code)

    def _send_json(self, value: Any, code: http.HTTPStatus = http.HTTPStatus.OK) -> None:
        self._send(_to_json(value).encode(), "application/json", code=code)

    def _send(
        self,
        content: bytes,
        media_type: str,
        headers: dict[str, str] | None = None,
        code: http.HTTPStatus = http.HTTPStatus.OK,
        cached: bool = False,
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "max-age=86400" if cached else "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def send_response(self, code: int, message: str | None = None) -> None:
        super().send_response(code, message)
        for name, value in HEADERS.items():
            self.send_header(name, value)


def _to_json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair
