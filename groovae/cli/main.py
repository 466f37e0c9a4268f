"""The command line: `groovae COMMAND [arguments] [--flags]`.

A command is a module of `groovae.cli.commands` with `define_flags` and `run`. Its docstring is its
help and begins with `groovae NAME: summary.`, from which COMMANDS is read. Such a module holds only
flags and wording; the library does the work. Each command has flags of its own, apart from absl's
global ones, because Magenta's modules define clashing flags there. Data goes to stdout, log and
progress to stderr.

Exit codes: 0 success, 1 failure, 2 wrong call, 3 a --require does not hold, 130 stopped by Ctrl-C,
141 the reader of stdout closed the pipe, 143 stopped by SIGTERM.
"""

import contextlib
import difflib
import importlib
import os
import re
import signal
import sys
import textwrap
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from absl import flags

from groovae import __version__
from groovae.cli.output import accept_any_text, log, open_missing_streams
from groovae.errors import MAX_NUMBER, MAX_WHOLE, GroovaeError, UsageError, missing_package

FOLDER = Path(__file__).with_name("commands")
ORDER = (  # of the overview, in which other commands follow
    *("demo", "download", "info", "preprocess", "train", "fit_prior", "fit_feel"),
    *("evaluate", "report", "sample", "reconstruct", "interpolate", "vary", "infill", "continue"),
    *(
        "fill",
        "humanize",
        "tap2drum",
        "add_hihat",
        "transfer",
        "play",
        "studio",
        "export",
        "import",
        "serve",
    ),
)


def _summary(name: str) -> str:
    """Read a command's summary from its source: importing all commands would take 0.4 s."""
    with (FOLDER / f"{name}.py").open(encoding="utf-8") as file:
        return file.readline().partition(": ")[2].strip().removesuffix(".")


COMMANDS = {
    name: _summary(name)
    for name in [*ORDER, *sorted({file.stem for file in FOLDER.glob("[!_]*.py")}.difference(ORDER))]
}

# Names of files, flags and checkpoints are not broken.
HELP_TEXT = textwrap.TextWrapper(
    100,
    initial_indent=" " * 6,
    subsequent_indent=" " * 6,
    break_long_words=False,
    break_on_hyphens=False,
)


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    open_missing_streams()
    accept_any_text()
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments.pop(0) if arguments else "--help"
    program = f"groovae {name}" if name in COMMANDS else "groovae"
    interrupts: list[int] = []
    try:
        with _recorded_interrupts(interrupts):
            try:
                return _run(name, arguments)
            finally:
                _flush()
    except KeyboardInterrupt:
        return _stopped_by_ctrl_c(program)
    except BrokenPipeError:
        return 141  # as in `groovae info DIR | head`
    except Exception as error:
        if interrupts and isinstance(error, ImportError):
            return _stopped_by_ctrl_c(program)
        if os.environ.get("GROOVAE_DEBUG", "0") not in ("", "0"):
            log(traceback.format_exc().rstrip())
        log(f"{program}: {_message(error)}")
        return error.exit_code if isinstance(error, GroovaeError) else 1
    finally:
        _flush_log()


@contextlib.contextmanager
def _recorded_interrupts(seen: list[int]) -> Iterator[None]:
    """Add each Ctrl-C to `seen`: while NumPy is imported, it may become an ImportError."""

    def interrupt(number: int, frame: Any) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _stopped_by_ctrl_c(program: str) -> int:
    log(f"\n{program}: stopped by Ctrl-C")
    return 130


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
        raise UsageError(f"the command must precede flags such as {name}; see groovae --help")
    if name not in COMMANDS:
        raise UsageError(f"no command {name!r}{_suggestion(name, COMMANDS)}; see groovae --help")
    command = importlib.import_module(f"groovae.cli.commands.{name}")
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow the arguments
    command.define_flags(values)
    flags.DEFINE_bool("debug", False, "Show tracebacks and the messages of TensorFlow.", values)
    flags.DEFINE_bool("help", False, "Show this help.", flag_values=values, short_name="h")
    positional = _parse(values, name, arguments)
    if values.help:
        print(_help(command, values))
        return 0
    if values.debug:
        os.environ["GROOVAE_DEBUG"] = "1"
    _check_working_directory()
    if "config" in values and values.config and ".py:" in values.config:
        from groovae.config.user_config import load_user_config

        values.config = load_user_config(values.config)
    return command.run(values, positional) or 0


def _check_working_directory() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise GroovaeError(
            f"the working directory: {error.strerror}; it may have been removed: cd to another"
        ) from error


def _flush() -> None:
    """Flush stdout, so that a failure to write is reported as an error of the command."""
    try:
        print(end="", flush=True)
    except OSError:
        _redirect_to_null(sys.stdout)
        raise


def _flush_log() -> None:
    try:
        sys.stderr.flush()
    except OSError:  # The log does not decide whether the command succeeded.
        _redirect_to_null(sys.stderr)


def _redirect_to_null(stream: TextIO) -> None:
    """Discard what could not be written: Python flushes again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parse(values: flags.FlagValues, name: str, arguments: list[str]) -> list[str]:
    """Parse the flags and return the positional arguments."""
    try:
        positional = values([f"groovae {name}", *arguments])[1:]
        for flag in values:
            _check_value(values[flag])
    except flags.UnrecognizedFlagError as error:
        message = f"no flag --{error.flagname}{_suggestion(error.flagname, values, '--')}"
    except RecursionError:
        message = "flag files that name another flag file, too many in a row"
    except (flags.Error, ValueError) as error:
        message = str(error).removeprefix("ERROR:: ")  # which absl writes for a flagfile
        message = re.sub(r"\S{200,}", lambda match: f"{match[0][:40]}...", message)
    else:
        return positional
    raise UsageError(f"{message}; see groovae {name} --help")


def _check_value(flag: flags.Flag) -> None:
    """Check what the flag itself does not: empty text, as of --train_dir="$UNSET", and numbers.

    Not all numbers have bounds of their own, and absl's bounds accept NaN.
    """
    name, value = flag.name, flag.value
    if flag.present and value == "" != flag.default:
        raise ValueError(f"flag --{name} is empty; give it a value, or leave it out")
    if isinstance(value, int) and abs(value) > MAX_WHOLE:
        raise ValueError(f"flag --{name} must be at most {MAX_WHOLE:,}")
    if isinstance(value, float) and not abs(value) <= MAX_NUMBER:
        raise ValueError(f"flag --{name} must be a number, at most {MAX_NUMBER:,.0f}, got {value}")


def _message(error: Exception) -> str:
    """Return one line about an error."""
    if isinstance(error, ModuleNotFoundError):
        return missing_package(error.name)
    text = str(error)
    if isinstance(error, RuntimeError) and "determine home directory" in text:  # of expanduser
        text = "there is no home folder for a path that begins with ~; write the path in full"
    elif isinstance(error, PermissionError) and error.filename:
        text = f"{error.filename}: {error.strerror}; change its permissions, or name another path"
    elif isinstance(error, OSError):  # of the machine, not of groovae
        named = error.filename and error.strerror
        text = f"{error.filename}: {error.strerror}" if named else error.strerror or text
    elif isinstance(error, MemoryError):
        text = "not enough memory; end other programs, or raise the limit of this one"
    elif not isinstance(error, GroovaeError):
        text = f"unexpected {type(error).__name__}: {text}; --debug shows the traceback"
    return " ".join(text.split())


def _suggestion(name: str, names: Iterable[str], prefix: str = "") -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f", did you mean {prefix}{near[0]}?" if near else ""


def _overview() -> str:
    width = max(map(len, COMMANDS))
    commands = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items())
    return f"""\
groovae {__version__}: Magenta's GrooVAE drum model on today's Python

Usage: groovae COMMAND [arguments] [--flags]

{commands}

groovae COMMAND --help shows details. `groovae sample` and `groovae humanize` work at once, with
bundled models, which were trained on the Groove MIDI Dataset by Google LLC (CC BY 4.0). To train
your own on that dataset or another folder of drum MIDI:

  groovae download --dest=../groove
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
    lines += ["  --flagfile=FILE", "      Read flags from a file, one per line; see configs/."]
    return "\n".join(lines)
