"""The command line: `groovae COMMAND [arguments] [--flags]`.

A command is a module of this package with `define_flags` and `run`, and a docstring that is its
help: what it does, how to call it, examples. It holds flags and wording only; the work is done by
the library. Each command has flags of its own, apart from absl's global ones, because Magenta's
modules define clashing flags there. Data goes to stdout, talk and progress to stderr. Exit codes:
0 done, 1 failed, 2 wrong call, 3 not as good as required, 130 stopped by Ctrl-C, 143 by SIGTERM,
141 when the reader of a pipe went away.
"""

import difflib
import importlib
import os
import sys
import textwrap
import traceback
from typing import Any

from absl import flags

from groovae import __version__
from groovae.errors import GroovaeError, UsageError, missing_package

COMMANDS = {
    "demo": "everything at once on embedded drum patterns: data, training, a groove",
    "download": "fetch the Groove MIDI Dataset, or a checkpoint by Google, and check it",
    "info": "what a Groove MIDI Dataset folder holds",
    "preprocess": "a folder of MIDI files to a TFRecord of NoteSequences",
    "train": "train a GrooVAE model, or go on training it",
    "evaluate": "how good a trained model is: its losses, musical metrics, baselines",
    "report": "a page on a trained model, to look at and to listen to",
    "sample": "draw grooves from a trained model, as MIDI",
    "reconstruct": "encode a groove and decode it: what the model makes of it",
    "interpolate": "grooves on the way from one to another",
    "vary": "neighbours of a groove",
    "humanize": "play a stiff beat with a drummer's timing and dynamics",
    "tap2drum": "play a beat on the whole kit from a tapped rhythm",
    "add_hihat": "play a hi-hat to a groove",
    "transfer": "play the hits of one beat with the feel of another",
    "export": "a trained model as files that other programs play: ONNX, magenta.js",
    "serve": "show an exported model in the browser",
}

# Names of files, flags and checkpoints stay whole.
HELP_TEXT = textwrap.TextWrapper(
    100,
    initial_indent=" " * 6,
    subsequent_indent=" " * 6,
    break_long_words=False,
    break_on_hyphens=False,
)


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments else "--help"
    who = f"groovae {name}" if name in COMMANDS else "groovae"
    try:
        try:
            return _run(name, arguments)
        finally:
            _flush()
    except KeyboardInterrupt:
        print(f"\n{who}: stopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141  # The reader went away, as in `groovae info DIR | head`: no one would read it.
    except Exception as error:
        if os.environ.get("GROOVAE_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        return _complain(who, error)


def _run(name: str, arguments: list[str]) -> int:
    if name == "help" and arguments:
        return _run(arguments[0], ["--help"])
    if name in ("--help", "-h", "-help", "help"):
        print(_overview())
        return 0
    if name in ("--version", "-version"):
        print(f"groovae {__version__}")
        return 0
    if name.startswith("-"):
        raise UsageError(f"the command comes first, then flags such as {name}; see groovae --help")
    if name not in COMMANDS:
        raise UsageError(
            f"there is no command {name!r}{_nearest(name, COMMANDS)}; see groovae --help"
        )
    command = importlib.import_module(f"groovae.cli.commands.{name}")
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow the arguments
    command.define_flags(values)
    flags.DEFINE_bool(
        "debug", False, "Show tracebacks and all that TensorFlow prints.", flag_values=values
    )
    flags.DEFINE_bool("help", False, "Show this help.", flag_values=values, short_name="h")
    positional = _parse(values, name, arguments)
    if values.help:
        print(_help(command, values))
        return 0
    if values.debug:
        os.environ["GROOVAE_DEBUG"] = "1"
    return command.run(values, positional) or 0


def _flush() -> None:
    """Writes out what print still holds, so that a failure shows now and not after the exit."""
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more.
        raise


def _parse(values: flags.FlagValues, name: str, arguments: list[str]) -> list[str]:
    try:
        positional = values([f"groovae {name}", *arguments])[1:]
    except flags.UnrecognizedFlagError as error:
        near = _nearest(error.flagname, list(values), prefix="--")
        raise UsageError(
            f"there is no flag --{error.flagname}{near}; see groovae {name} --help"
        ) from error
    except (flags.Error, ValueError) as error:
        what = str(error).removeprefix("ERROR:: ")  # absl's, of a flagfile
        raise UsageError(f"{what}; see groovae {name} --help") from error
    for flag in values:
        if values[flag].value != values[flag].value:  # absl's bounds let NaN through
            raise UsageError(f"flag --{flag} must be a number; see groovae {name} --help")
    return positional


def _complain(who: str, error: Exception) -> int:
    if isinstance(error, GroovaeError):
        print(f"{who}: {_one_line(str(error))}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, ModuleNotFoundError):
        what = missing_package(error.name)
    else:
        text = _one_line(f"{type(error).__name__}: {error}")
        what = f"unexpected {text}; see all of it with --debug"
    print(f"{who}: {what}", file=sys.stderr)
    return 1


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _nearest(name: str, among: Any, prefix: str = "") -> str:
    near = difflib.get_close_matches(name, among, n=1, cutoff=0.5)
    return f", did you mean {prefix}{near[0]}?" if near else ""


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"""\
groovae {__version__}: Magenta's GrooVAE drum model on today's Python

Usage: groovae COMMAND [arguments] [--flags]

{commands}

groovae COMMAND --help tells more. `groovae sample` plays at once, by a model that comes along. With
a folder of drum MIDI, such as the Groove MIDI Dataset, there is your own:

  groovae preprocess ../groove data_dir/music.tfrecord
  groovae train --num_steps=50000
  groovae sample --temperature=0.5 --out=drum_4bar.mid"""


def _help(command: Any, values: flags.FlagValues) -> str:
    lines = [command.__doc__.strip(), "", "Flags:"]
    own = [values[name] for name in values if name not in ("help", "debug", "h")]
    for flag in [*own, values["debug"], values["help"]]:
        lines.append(f"  --[no]{flag.name}" if flag.boolean else f"  --{flag.name}=...")
        default = (flag.default_as_str or "").strip("'") if flag.default != [] else ""
        text = flag.help.partition(";\n")[0]  # absl adds that a flag may be repeated
        text += f" (default: {default})" if default else ""
        lines += HELP_TEXT.wrap(text)
    lines += ["  --flagfile=FILE", "      Read flags from a file, one a line; configs/ holds some."]
    return "\n".join(lines)
