"""Measure the time and memory of processes; make the environment of native Magenta."""

import collections
import contextlib
import dataclasses
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROBE = ROOT / "scripts" / "benchmark_probe.py"
SAMPLE_SECONDS = 0.1

MAGENTA = "magenta==2.1.4"
MAGENTA_NEEDS = [
    "absl-py==1.2.0",
    "librosa==0.7.2",
    "mido==1.2.6",
    "mir-eval==0.7",
    "note-seq==0.0.3",
    "numba==0.49.1",
    "numpy==1.21.6",
    "pretty-midi==0.2.9",
    "pygtrie==2.5.0",
    "scipy==1.7.3",
    "six==1.16.0",
    "tensorflow==2.9.1",
    "tensorflow-datasets==4.6.0",
    "tensorflow-probability==0.17.0",
    "tf-slim==1.1.0",
    "pandas",
    "protobuf<3.20",
    "matplotlib==3.5.2",
]


def log(line: str) -> None:
    name = Path(sys.argv[0]).stem
    print(f"{name}: {line}", file=sys.stderr, flush=True)


class Failure(Exception):
    """A program failed, so there is nothing to measure; the message is for the user."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished process.

    Attributes:
      started: Its start time on the system's monotonic clock.
      seconds: Duration.
      peak_mb: Peak memory of the process and its descendants together.
      own_mb: The same without mapped files.
    """

    started: float
    seconds: float
    peak_mb: float
    own_mb: float


def run(command: Sequence[str | Path], log_file: Path) -> Run:
    """Run a command in the folder of `log_file`, which gets its output, and measure it."""
    with open(log_file, "w") as output, _MemoryWatch() as watch:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env=_environment(), cwd=log_file.parent
        )
        try:
            watch.start(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                process.kill()
    if process.returncode:
        tail = "\n".join(log_file.read_text(errors="replace").splitlines()[-15:])
        raise Failure(f"exit code {process.returncode} of {' '.join(map(str, command))}\n{tail}")
    peak_mb = max(watch.peak_mb, usage.ru_maxrss / 1024)
    return Run(started, seconds, peak_mb, watch.own_mb)


def probe(
    python: Path, task: str, log_file: Path, *arguments: str | Path, script: Path = PROBE
) -> list[dict[str, Any]]:
    """Run a task of a probe script; return the lines it reports and, last, {"run": Run}."""
    result = log_file.with_suffix(".json")
    ran = run([python, script, task, result, *arguments], log_file)
    return [*map(json.loads, result.read_text().splitlines()), {"run": ran}]


def busy_elsewhere() -> float:
    """Return the processor seconds used so far by other processes than this one's tree."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _waiting, *rest = map(int, file.readline().split()[1:9])
    # The rest: interrupts, and time that the host of a virtual machine gave to others.
    busy = (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def _environment() -> dict[str, str]:
    """Return this environment without variables that change packages or disable bytecode."""
    environment = dict(os.environ)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(name, None)
    return environment


class _MemoryWatch:
    """A thread that samples the memory of a process and its descendants and keeps the peaks."""

    def __init__(self) -> None:
        self.peak_mb = self.own_mb = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._sample, args=(pid,), daemon=True)
        self._thread.start()

    def _sample(self, pid: int) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            peak, own = memory_of(tree_of(pid))
            self.peak_mb, self.own_mb = max(self.peak_mb, peak), max(self.own_mb, own)

    def __enter__(self) -> "_MemoryWatch":
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        if self._thread:
            self._thread.join()


def tree_of(pid: int) -> list[int]:
    """Return a process and its descendants; the system lists children by thread."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children += map(int, listed.read_text().split())
    return [pid, *itertools.chain.from_iterable(map(tree_of, children))]


def memory_of(pids: list[int]) -> tuple[float, float]:
    """Return the memory of processes in MB, with and without mapped files.

    One process: RSS. Several: the sum of PSS, which divides each page by the processes that map it.
    """
    if len(pids) == 1:
        fields = _kilobytes(f"/proc/{pids[0]}/status")
        names = ("VmRSS", "RssAnon", "RssShmem")
    else:
        fields = collections.Counter()
        for pid in pids:
            fields.update(_kilobytes(f"/proc/{pid}/smaps_rollup"))
        names = ("Pss", "Pss_Anon", "Pss_Shmem")
    every, anonymous, shared = (fields[name] / 1024 for name in names)
    return every, anonymous + shared


def _kilobytes(file: str) -> collections.Counter[str]:
    """Return the lines `Name: 123 kB` of a file; empty if the process has ended."""
    values: collections.Counter[str] = collections.Counter()
    with contextlib.suppress(OSError), open(file) as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if value.endswith(" kB\n"):
                values[name] = int(value.split()[0])
    return values


# --- native's environment ---


def make_native(folder: Path, python38: str | None) -> Path:
    """Return the Python of native Magenta's environment, which is made if missing."""
    python, marker = folder / "bin" / "python", folder / "benchmark-requirements.txt"
    wanted = "\n".join([*MAGENTA_NEEDS, MAGENTA])
    if marker.is_file() and marker.read_text() == wanted:
        return python
    uv = find_uv()
    log(f"making native Magenta's environment in {folder} (2.5 GB, once)")
    base = python38 or find_python38(uv)
    _call(uv, "venv", "--no-project", "--allow-existing", "--python", base, folder)
    install: list[str | Path] = [uv, "pip", "install", "--compile-bytecode", "--python", python]
    _call(*install, *MAGENTA_NEEDS)
    _call(*install, "--no-deps", MAGENTA)  # its own pins contradict each other
    marker.write_text(wanted)
    return python


def find_uv() -> str:
    """Find uv where scripts/env.sh looks for it or installs it."""
    for folder in ("", Path.home() / ".local/bin", Path.home() / ".cargo/bin", ROOT / ".uv/bin"):
        if found := shutil.which(os.path.join(folder, "uv")):
            return found
    raise Failure("uv not found: put it on PATH, or run `bash scripts/demo.sh`, which installs it")


def find_python38(uv: str) -> str:
    """Find Python 3.8, pyenv's first, since python3.8 on PATH may be a shim that does not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in sorted(pyenv.glob("versions/3.8.*/bin/python"), reverse=True):
        return str(python)
    try:
        return _call(uv, "python", "find", "--no-project", "--no-python-downloads", "3.8").strip()
    except Failure as failure:
        raise Failure(
            "Python 3.8 for native Magenta not found: install it with `uv python install 3.8`, or "
            "set --python38=/path/to/python3.8"
        ) from failure


def _call(*command: str | Path) -> str:
    """Run uv outside of the project, whose settings are for another environment."""
    with tempfile.TemporaryDirectory() as outside:
        done = subprocess.run(
            command, cwd=outside, env=_environment(), stdout=subprocess.PIPE, text=True
        )
    if done.returncode:
        raise Failure(f"exit code {done.returncode} of {' '.join(map(str, command))}")
    return done.stdout
