"""Parallel map over forked processes, with results in input order.

    for result in ordered_map(convert, files, workers=available_cores()):
        ...

Workers are forked from this process, so they need no imports of their own, and `function` may be
any callable. The pools of the standard library break or wait forever when a worker is killed; here
a killed worker loses one item, whose result is a `Lost`. Memory holds the items being processed
and at most `WAITING_BYTES` of finished results. Without fork, as on Windows, the function is called
in this process, one item at a time and without limits.
"""

import contextlib
import gc
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

TIMEOUT_SECONDS = 300.0
MEMORY_BYTES = 2 << 30
WAITING_BYTES = 16 << 20


@dataclass(frozen=True)
class Lost:
    """The result of an item that killed its worker, or exceeded a limit."""

    reason: str


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def ordered_map(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    workers: int,
    timeout_seconds: float = TIMEOUT_SECONDS,
    memory_bytes: int = MEMORY_BYTES,
) -> Generator[Any, None, None]:
    """Yield `function(item)` for each item in order, or a `Lost` if its worker died.

    Args:
      function: Called in a worker process; what it prints and changes stays there.
      items: Consumed one by one, as workers become free.
      workers: Maximum number of processes. One worker is a separate process too.
      timeout_seconds: CPU time limit for an item.
      memory_bytes: Memory limit of a worker above what it starts with, on Linux.

    Raises:
      Any error that `function` raises, except MemoryError, which gives a `Lost`.
    """
    if not hasattr(os, "fork"):
        yield from (_call_here(function, item) for item in items)
        return
    pool = _Pool(function, workers, timeout_seconds, memory_bytes)
    try:
        yield from pool.results(enumerate(items))
    finally:
        pool.close()


def _call_here(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except MemoryError:
        return Lost("needs more memory than is available")


class _Pool:
    """The workers, the items they process, and finished results that are not yet due."""

    def __init__(self, function: Any, workers: int, timeout_seconds: float, memory_bytes: int):
        self._call = (function, timeout_seconds, memory_bytes)
        self._size = max(1, workers)
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._busy: dict[Any, _Worker] = {}  # by pipe
        self._finished: dict[int, bytes] = {}  # by index
        self._waiting_bytes = 0

    def results(self, items: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        turn = 0
        while True:
            self._assign(items)
            if turn in self._finished:
                result = self._finished.pop(turn)
                self._waiting_bytes -= len(result)
                yield _unpack(result)
                turn += 1
            elif self._busy:
                self._collect()
            else:
                return

    def close(self) -> None:
        for worker in self._all:
            worker.end()

    def _assign(self, items: Iterator[tuple[int, Any]]) -> None:
        """Give an item to each free worker, unless too many bytes of results are waiting."""
        while len(self._busy) < self._size and self._waiting_bytes < WAITING_BYTES:
            try:
                index, item = next(items)
            except StopIteration:
                return
            worker = self._send(index, item)
            self._busy[worker.pipe] = worker

    def _send(self, index: int, item: Any) -> "_Worker":
        while self._idle:
            worker = self._idle.pop()
            if worker.send(index, item):
                return worker
            self._all.remove(worker)  # Killed while idle, which is not the fault of the item.
            worker.end()
        worker = _Worker(self._call, [*self._busy])
        self._all.append(worker)
        worker.send(index, item)
        return worker

    def _collect(self) -> None:
        """Wait until a worker is done or dead, and store its result."""
        for pipe in wait([*self._busy]):
            worker = self._busy.pop(pipe)
            try:
                result = worker.pipe.recv_bytes()
                self._idle.append(worker)
            except (EOFError, OSError):
                self._all.remove(worker)
                result = pickle.dumps((Lost(worker.cause_of_death()), None, None))
            self._finished[worker.index] = result
            self._waiting_bytes += len(result)


class _Worker:
    """A process, and the parent's end of the pipe to it."""

    def __init__(self, call: tuple[Any, float, int], others: list[Connection]):
        fork = multiprocessing.get_context("fork")
        self.index, self._timeout_seconds = -1, call[1]
        self.pipe, theirs = fork.Pipe()
        self._process = fork.Process(
            target=_work, args=(*call, theirs, [*others, self.pipe]), daemon=True
        )
        try:
            with _signals_deferred():
                self._process.start()
        except OSError as error:
            raise GroovaeError(
                f"cannot start a worker process: {error.strerror}; set fewer workers"
            ) from error
        except BaseException:  # Ctrl-C, which the new process may have missed, and would wait
            if self._process.pid is not None:
                self.end()
            raise
        finally:
            theirs.close()

    def send(self, index: int, item: Any) -> bool:
        """Send an item; return False if the process is gone."""
        self.index = index
        try:
            self.pipe.send(item)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end(self) -> None:
        """Kill the process, which holds nothing worth saving."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def cause_of_death(self) -> str:
        self._process.join()
        self.pipe.close()
        code = self._process.exitcode or 0
        if code == -signal.SIGPROF:
            return f"took over {self._timeout_seconds:g} s of CPU time"
        if code == -signal.SIGKILL:
            return "its worker was killed by SIGKILL (out of memory?)"
        if code < 0:
            return f"its worker was killed by {signal.Signals(-code).name}"
        return f"its worker ended with exit code {code}"


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM while forking: Python drops exceptions raised in fork hooks."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: received.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in received:
        signal.raise_signal(late)


def _work(
    function: Callable[[Any], Any],
    timeout_seconds: float,
    memory_bytes: int,
    pipe: Connection,
    parents: list[Connection],
) -> None:
    """Process items until the parent closes the pipe or is killed."""
    for inherited in parents:
        inherited.close()  # A pipe ends only when no process holds its other end.
    _set_up(memory_bytes)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            item = pipe.recv()
            # The timer kills even a loop in C code, and even after the parent is gone.
            signal.setitimer(signal.ITIMER_PROF, min(max(timeout_seconds, 1e-3), 1e8))
            result = _pack(function, item, memory_bytes)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send_bytes(result)


def _set_up(memory_bytes: int) -> None:
    """Set the signals and the memory limit of a worker."""
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    gc.freeze()  # Memory stays shared with the parent as long as the collector does not touch it.
    with contextlib.suppress(OSError):
        # If memory runs out, kill workers first: that loses one item, not the run.
        Path("/proc/self/oom_score_adj").write_text("1000")
        status = Path("/proc/self/status").read_text().split()
        limit = int(status[status.index("VmData:") + 1]) * 1024 + memory_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _pack(function: Callable[[Any], Any], item: Any, memory_bytes: int) -> bytes:
    """Pickle `function(item)`, or the error it raises; see `_unpack`."""
    try:
        return pickle.dumps((function(item), None, None))
    except MemoryError:
        lost = Lost(f"needs more than {memory_bytes / 2**30:.1f} GiB of memory")
        return pickle.dumps((lost, None, None))
    except Exception as error:
        trace = traceback.format_exc()
        with contextlib.suppress(Exception):  # Some errors cannot be pickled or recreated.
            data = pickle.dumps((None, error, trace))
            pickle.loads(data)
            return data
        return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), trace))


def _unpack(data: bytes) -> Any:
    """Return the result of a worker, or raise its error."""
    result, error, trace = pickle.loads(data)
    if error is not None:
        raise error from RuntimeError(f"in a worker:\n{trace}")
    return result
