"""groovae serve: open an exported model in the browser.

Usage: groovae serve DIR [--port=8000] [--cors]

Serves a folder written by `groovae export --format=magentajs` to this machine only, until Ctrl-C: a
page that samples grooves and plays them. Browsers do not load a model from a file, only from a
server. Prints the address to open. Web pages of other origins cannot read the files, unless --cors
is given.

Examples:
  groovae serve web
  groovae serve web --port=0"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments
from groovae.cli.output import log


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_integer(
        "port", 8000, "Port on 127.0.0.1; 0 takes any free one.", 0, 65535, flag_values=values
    )
    flags.DEFINE_bool(
        "cors",
        False,
        "Let pages of any origin load the files, such as a page of your own on another port. Any "
        "web site open in a browser on this machine can then read the folder.",
        values,
    )


def run(values: Any, positional: list[str]) -> None:
    (folder,) = check_arguments(positional, "DIR")
    from groovae.export import magentajs
    from groovae.export.server import Server

    config = magentajs.read_verified_config(folder)["groovae"]
    with Server(folder, values.port, log, values.cors) as server:
        print(server.url, flush=True)
        log(f"{config['config']}, step {config['step']:,}; press Ctrl-C to stop")
        server.serve_forever()
