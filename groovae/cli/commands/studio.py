"""groovae studio: make and edit grooves in the browser, without network.

Usage: groovae studio [FILE.mid ...] [--checkpoint=DIR ...] [--flags]

Starts a server for this machine only, prints its URL and opens it in the browser, until Ctrl-C: a
page to sample, edit, vary, humanize, interpolate and play grooves, with the bundled models. MIDI
files that are named are opened in it. A model given by --checkpoint, which may be repeated, is used
for what it was trained for, and the bundled models for the rest. The sound takes the package
tinysoundfont.

Others can build on its JSON API; see docs/studio.md.

Examples:
  groovae studio
  groovae studio take.mid --soundfont=kit.sf2
  groovae studio --checkpoint=runs/tap2drum/best --port=8123 --nobrowser"""

import atexit
import contextlib
import os
import sys
import threading
import webbrowser
from typing import Any

from absl import flags

from groovae.cli.output import log
from groovae.errors import GroovaeError

PAUSE_SECONDS = 1.0  # while the page loads and samples its first groove
STOP_SECONDS = 0.5  # for a request that uses a model when Ctrl-C is pressed


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "port",
        None,
        "Port on 127.0.0.1; 0 takes any free one. By default 8808, or any if that is in use.",
        0,
        65535,
        flag_values=values,
    )
    flags.DEFINE_multi_string(
        "checkpoint",
        [],
        "A model to use beside the bundled ones: a training folder, the prefix of a checkpoint, a "
        ".tar, or an exported model.",
        values,
    )
    flags.DEFINE_string(
        "soundfont", None, "Soundfont (.sf2, .sf3) of the drums; by default pretty_midi's.", values
    )
    flags.DEFINE_bool("browser", True, "Open the page in the browser.", values)


def run(values: Any, positional: list[str]) -> None:
    from groovae.music.sound import check_ready
    from groovae.studio.files import open_midi
    from groovae.studio.models import Models
    from groovae.studio.server import StudioServer

    if values.soundfont:
        check_ready(values.soundfont)
    grooves = [open_midi(path, log) for path in positional]
    models = Models(values.checkpoint, log)
    with StudioServer(models, values.port, grooves, values.soundfont, log) as server:
        print(server.url, flush=True)
        log("press Ctrl-C to stop")
        threading.Thread(target=_prepare, args=[server], daemon=True).start()
        if values.browser and _has_display():
            # In a thread, since it may wait for the browser.
            threading.Thread(target=webbrowser.open, args=[server.url], daemon=True).start()
        try:
            server.serve_forever()
        finally:
            if not models.wait(STOP_SECONDS):
                atexit.register(os._exit, 130)  # A model runs in C++, which would abort.


def _prepare(server: Any) -> None:
    """Render the sounds while the page opens, then load the rest of the models."""
    with contextlib.suppress(GroovaeError):  # which the page reports
        server.sounds.get(0, 0)
    server.models.warm_up(PAUSE_SECONDS)


def _has_display() -> bool:
    """Return whether a browser would open in a window, and not as text in this terminal."""
    return sys.platform in ("darwin", "win32") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
