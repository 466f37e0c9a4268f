"""What `benchmark.py` stands on: processes that are measured, and native Magenta's environment."""

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


def say(line: str) -> None:
    print(f"benchmark: {line}", file=sys.stderr, flush=True)


class Failure(Exception):
    """Something did not run, so that there is nothing to measure."""


@dataclasses.dataclass(frozen=True)
class Run:
    """A process that is over.

    Attributes:
      started: When, on the system's monotonic clock.
      seconds: From there to its end.
      peak_mb: Most memory that it and all processes below it took at one time.
      own_mb: The same without mapped files.
    """

    started: float
    seconds: float
    peak_mb: float
    own_mb: float


def run(command: Sequence[str | Path], log: Path) -> Run:
    """Runs a command to its end, its talk in `log`, and measures it."""
    with open(log, "w") as talk, _MemoryWatch() as watch:
        started = time.monotonic()
        process = subprocess.Popen(
            command, stdout=talk, stderr=talk, env=_environment(), cwd=log.parent
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
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise Failure(f"exit code {process.returncode} of {' '.join(map(str, command))}\n{tail}")
    peak_mb = max(watch.peak_mb, usage.ru_maxrss / 1024)
    return Run(started, seconds, peak_mb, watch.own_mb)


def probe(
    python: Path, task: str, log: Path, *arguments: str | Path, script: Path = PROBE
) -> list[dict[str, Any]]:
    """What a task of the script tells, and under `run` in the last line how it ran."""
    result = log.with_suffix(".json")
    ran = run([python, script, task, result, *arguments], log)
    return [*map(json.loads, result.read_text().splitlines()), {"run": ran}]


def busy_elsewhere() -> float:
    """Seconds of all cores that went neither to this process nor to what it has run."""
    with open("/proc/stat") as file:
        user, nice, system, _idle, _waiting, *rest = map(int, file.readline().split()[1:9])
    # The rest: interrupts, and what the host of a virtual machine gave to others.
    busy = (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


def _environment() -> dict[str, str]:
    """Ours without what would bring in other packages, or make each import compile anew."""
    environment = dict(os.environ)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"):
        environment.pop(name, None)
    return environment


class _MemoryWatch:
    """A thread that looks at the memory of a process and of all below it, and keeps the peaks."""

    def __init__(self) -> None:
        self.peak_mb = self.own_mb = 0.0
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        self._thread = threading.Thread(target=self._look, args=(pid,), daemon=True)
        self._thread.start()

    def _look(self, pid: int) -> None:
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
    """A process and its descendants; each thread has a list of the children it made."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        for listed in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                children += map(int, listed.read_text().split())
    return [pid, *itertools.chain.from_iterable(map(tree_of, children))]


def memory_of(pids: list[int]) -> tuple[float, float]:
    """Memory of processes in MB, all of it and their own, without mapped files.

    PSS shares a page out among all who map it, unrelated processes too: a process alone has RSS.
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
    """The lines `Name: 123 kB` of a file; none if the process has ended by now."""
    values: collections.Counter[str] = collections.Counter()
    with contextlib.suppress(OSError), open(file) as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if value.endswith(" kB\n"):
                values[name] = int(value.split()[0])
    return values


# --- native's environment ---


def make_native(folder: Path, python38: str | None) -> Path:
    """The Python of an environment with native Magenta, which is made if it is not there."""
    python, marker = folder / "bin" / "python", folder / "benchmark-requirements.txt"
    wanted = "\n".join([*MAGENTA_NEEDS, MAGENTA])
    if marker.is_file() and marker.read_text() == wanted:
        return python
    uv = find_uv()
    print(f"making native Magenta's environment in {folder} (2.5 GB, once)", file=sys.stderr)
    base = python38 or find_python38(uv)
    _call(uv, "venv", "--no-project", "--allow-existing", "--python", base, folder)
    install: list[str | Path] = [uv, "pip", "install", "--compile-bytecode", "--python", python]
    _call(*install, *MAGENTA_NEEDS)
    _call(*install, "--no-deps", MAGENTA)  # its own pins contradict each other
    marker.write_text(wanted)
    return python


def find_uv() -> str:
    """uv where scripts/env.sh looks for it, and where it puts one."""
    places: list[str | Path] = [
        "",
        Path.home() / ".local/bin",
        Path.home() / ".cargo/bin",
        ROOT / ".uv/bin",
    ]
    for place in places:
        found = shutil.which(os.path.join(place, "uv"))
        if found:
            return found
    raise Failure("there is no uv: `bash scripts/demo.sh` fetches it into .uv, or put it on PATH")


def find_python38(uv: str) -> str:
    """pyenv's first, since its python3.8 on PATH may be a shim that does not run."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for python in sorted(pyenv.glob("versions/3.8.*/bin/python"), reverse=True):
        return str(python)
    try:
        return _call(uv, "python", "find", "--no-project", "--no-python-downloads", "3.8").strip()
    except Failure as failure:
        raise Failure(
            "native Magenta needs Python 3.8, and there is none: `uv python install 3.8` fetches "
            "one, or name yours with --python38=/path/to/python3.8"
        ) from failure


def _call(*command: str | Path) -> str:
    """Runs uv away from the project, whose settings are for another environment."""
    with tempfile.TemporaryDirectory() as away:
        done = subprocess.run(
            command, cwd=away, env=_environment(), stdout=subprocess.PIPE, text=True
        )
    if done.returncode:
        raise Failure(f"exit code {done.returncode} of {' '.join(map(str, command))}")
    return done.stdout
