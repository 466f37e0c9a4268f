"""A function over many items, on all cores, with results in the order of the items.

Each worker is a process forked from this one, so what is imported here needs no import there, and
`function` may be anything callable. Python's own pools break as a whole when one worker is killed,
or wait for ever; here that costs the one item, whose result is then a `Lost`. Nothing is held but
the items at work and a bounded number of finished bytes, however many items there are.

    for result in ordered_map(convert, files, workers=available_cores()):
        ...
"""

import contextlib
import gc
import multiprocessing
import os
import pickle
import resource
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from groovae.errors import GroovaeError

TIMEOUT_SECONDS = 300.0
MEMORY_BYTES = 2 << 30
WAITING_BYTES = 16 << 20

_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Lost:
    """In place of a result: the worker died of this item, or was stopped because of it."""

    reason: str


def available_cores() -> int:
    """The cores that this process may use, which can be fewer than the machine has."""
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
    """Yields `function(item)` for each item, in their order, or a `Lost` where the worker died.

    Args:
      function: Called in a process of its own; what it prints and changes stays there.
      items: Taken one by one, not before a worker is free for one.
      workers: How many processes at most; with 1 the function still runs in another process.
      timeout_seconds: How long one item may take of a core; a stopped process takes none.
      memory_bytes: What a worker may take beyond what it starts with, where there is /proc.

    Raises:
      Whatever `function` raises but MemoryError, which is `Lost`.
    """
    pool = _Pool(function, workers, timeout_seconds, memory_bytes)
    try:
        yield from pool.results(enumerate(items))
    finally:
        pool.close()


class _Pool:
    """The workers, the items they are at, and the results whose turn has not come."""

    def __init__(self, function: Any, workers: int, timeout_seconds: float, memory_bytes: int):
        self._call = (function, timeout_seconds, memory_bytes)
        self._timeout_seconds = timeout_seconds
        self._size = max(1, workers)
        self._all: list[_Worker] = []
        self._idle: list[_Worker] = []
        self._busy: dict[Any, _Worker] = {}  # by the pipe to it
        self._finished: dict[int, bytes | Lost] = {}
        self._waiting_bytes = 0

    def results(self, items: Iterator[tuple[int, Any]]) -> Iterator[Any]:
        turn = 0
        while True:
            self._hand_out(items)
            if turn in self._finished:
                yield _unpack(self._take(turn))
                turn += 1
            elif self._busy:
                self._collect()
            else:
                return

    def close(self) -> None:
        for worker in self._all:
            worker.end()

    def _hand_out(self, items: Iterator[tuple[int, Any]]) -> None:
        """Gives every free worker an item, unless too much waits for its turn already."""
        while len(self._busy) < self._size and self._waiting_bytes < WAITING_BYTES:
            try:
                index, item = next(items)
            except StopIteration:
                return
            self._give(index, item)

    def _give(self, index: int, item: Any) -> None:
        while self._idle:
            worker = self._idle.pop()
            if worker.take(index, item):
                break
            self._all.remove(worker)  # Killed while it waited, which is no fault of the item.
            worker.end()
        else:
            worker = _Worker(self._call, [*self._busy])
            self._all.append(worker)
            worker.take(index, item)
        self._busy[worker.pipe] = worker

    def _collect(self) -> None:
        """Waits until a worker is done or dead, and takes in what there is."""
        for pipe in wait([*self._busy]):
            worker = self._busy.pop(pipe)
            try:
                result: bytes | Lost = worker.pipe.recv_bytes()
                self._idle.append(worker)
            except (EOFError, OSError):
                self._all.remove(worker)
                result = Lost(worker.cause_of_death(self._timeout_seconds))
            self._finished[worker.index] = result
            self._waiting_bytes += _size(result)

    def _take(self, turn: int) -> bytes | Lost:
        result = self._finished.pop(turn)
        self._waiting_bytes -= _size(result)
        return result


class _Worker:
    """A process, and the parent's end of the pipe to it."""

    def __init__(self, call: tuple[Any, float, int], others: list[Connection]):
        self.index = -1
        self.pipe, theirs = _fork.Pipe()
        self._process = _fork.Process(
            target=_work, args=(*call, theirs, [*others, self.pipe]), daemon=True
        )
        try:
            with _signals_held_back():
                self._process.start()
        except OSError as error:
            raise GroovaeError(
                f"cannot start a worker process: {error.strerror}; take fewer workers"
            ) from error
        finally:
            theirs.close()

    def take(self, index: int, item: Any) -> bool:
        """Whether the worker was there to take it; one that is not shows it when asked again."""
        self.index = index
        try:
            self.pipe.send(item)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def end(self) -> None:
        """Kills the process, whatever it is at; it holds nothing that anyone needs."""
        self._process.kill()
        self._process.join()
        self.pipe.close()

    def cause_of_death(self, timeout_seconds: float) -> str:
        self._process.join()
        self.pipe.close()
        code = self._process.exitcode or 0
        if code == -signal.SIGPROF:
            return f"took over {timeout_seconds:g} s of a core"
        if code == -signal.SIGKILL:
            return "its worker was killed by SIGKILL (out of memory?)"
        if code < 0:
            return f"its worker was killed by {signal.Signals(-code).name}"
        return f"its worker ended with exit code {code}"


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Ctrl-C is for the parent, and not amidst a fork, where Python loses what a handler raises."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for late in came:
        signal.raise_signal(late)


def _work(
    function: Callable[[Any], Any],
    timeout_seconds: float,
    memory_bytes: int,
    pipe: Connection,
    parents: list[Connection],
) -> None:
    """The life of a worker: it ends with its parent, even where that was killed."""
    for inherited in parents:
        inherited.close()  # As long as anyone holds the other end, a pipe tells of no end.
    _settle_in(memory_bytes)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            item = pipe.recv()
            # The alarm kills even a loop in C code, and even after the parent is gone.
            signal.setitimer(signal.ITIMER_PROF, min(max(timeout_seconds, 1e-3), 1e8))
            result = _pack(function, item, memory_bytes)
            signal.setitimer(signal.ITIMER_PROF, 0)
            pipe.send_bytes(result)


def _settle_in(memory_bytes: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # Objects of the parent are shared with it as long as the collector leaves them alone.
    gc.freeze()
    with contextlib.suppress(OSError):
        # Where memory runs out, a worker goes first: it costs one item, the parent the run.
        Path("/proc/self/oom_score_adj").write_text("1000")
        status = Path("/proc/self/status").read_text().split()
        limit = int(status[status.index("VmData:") + 1]) * 1024 + memory_bytes
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or limit < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def _pack(function: Callable[[Any], Any], item: Any, memory_bytes: int) -> bytes:
    """The result, or why there is none, as bytes: `_unpack` gives it back or raises it."""
    try:
        return bytes(ForkingPickler.dumps((function(item), None, None)))
    except MemoryError:
        lost = Lost(f"needs more than {memory_bytes / 2**30:.1f} GiB of memory")
        return pickle.dumps((lost, None, None))
    except Exception as error:
        told = traceback.format_exc()
        try:
            data = pickle.dumps((None, error, told))
            pickle.loads(data)
        except Exception:  # Some errors cannot travel, or cannot be made again from their args.
            return pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}"), told))
        return data


def _size(result: bytes | Lost) -> int:
    return len(result) if isinstance(result, bytes) else 0


def _unpack(data: bytes | Lost) -> Any:
    if isinstance(data, Lost):
        return data
    result, error, told = pickle.loads(data)
    if error is not None:
        raise error from RuntimeError(f"in a worker:\n{told}")
    return result
