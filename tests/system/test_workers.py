"""ordered_map: order, memory, errors, and workers that die."""

import contextlib
import ctypes
import faulthandler
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groovae.errors import GroovaeError, UsageError
from groovae.system import workers
from groovae.system.workers import Lost, available_cores, ordered_map


def children() -> list[int]:
    """Return the processes of workers that are running or not yet joined."""
    return [process.pid or 0 for process in multiprocessing.active_children()]


# Results


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_are_in_input_order(count: int) -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.05 if item % 7 == 0 else 0)
        return item * item

    assert list(ordered_map(slow_first, range(50), count)) == [i * i for i in range(50)]


def test_no_items_give_no_results() -> None:
    assert list(ordered_map(abs, [], 4)) == []


def test_function_runs_in_worker_processes() -> None:
    pids = set(ordered_map(lambda _: os.getpid(), range(9), 3))
    assert os.getpid() not in pids
    assert 1 <= len(pids) <= 3


def test_one_worker_is_a_separate_process() -> None:
    assert os.getpid() not in set(ordered_map(lambda _: os.getpid(), range(3), 1))


def test_no_more_workers_than_items_start() -> None:
    results = ordered_map(abs, range(2), 50)
    assert next(results) == 0
    assert len(children()) == 2
    assert list(results) == [1]
    assert children() == []


def test_large_arrays_are_returned() -> None:
    items = (np.full(1 << 20, i, np.float64) for i in range(6))
    results = ordered_map(lambda array: array + 1, items, 2)
    assert [(array.shape, array[-1]) for array in results] == [
        ((1 << 20,), i + 1) for i in range(6)
    ]


def test_available_cores_follow_the_cpu_affinity() -> None:
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    if hasattr(os, "sched_setaffinity"):
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(before)})
        try:
            assert available_cores() == 1
        finally:
            os.sched_setaffinity(0, before)


# Memory


def test_items_are_consumed_lazily() -> None:
    taken = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = ordered_map(lambda item: b"x" * (8 << 20), items(), 2)
    assert taken == []
    next(results)
    assert len(taken) <= 2 + workers.WAITING_BYTES // (8 << 20)
    results.close()


def test_waiting_results_are_bounded_behind_a_slow_item(tmp_path: Path) -> None:
    """The first item waits until the results of the others reach WAITING_BYTES."""

    def work(item: int) -> bytes:
        while item == 0 and not (tmp_path / "go").exists():
            time.sleep(0.01)
        return b"x" * (8 << 20)

    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for taken in range(100):
            if taken == workers.WAITING_BYTES // (8 << 20):
                (tmp_path / "go").touch()
            yield taken

    for result in ordered_map(work, items(), 2):
        assert len(result) == 8 << 20
        assert taken <= 99


# Errors


@pytest.mark.parametrize(
    "error", [ValueError("broken"), GroovaeError("refused"), UsageError("wrong"), KeyError(3)]
)
def test_error_of_the_function_is_raised_in_order(error: Exception) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise error
        return item

    results = ordered_map(work, range(9), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(type(error)) as raised:
        next(results)
    assert raised.value.args == error.args
    assert "in work" in str(raised.value.__cause__), "the worker's traceback is kept"
    assert children() == []


class UnpicklableError(Exception):
    def __init__(self, one: int, two: int):
        super().__init__("only one")


@pytest.mark.parametrize(
    ("work", "words"),
    [(lambda _: 1 / 0, "division"), (lambda _: lambda: 0, "pickle")],
    ids=["error", "unpicklable result"],
)
def test_errors_are_raised_in_the_parent(work: Any, words: str) -> None:
    with pytest.raises(Exception, match=words):
        list(ordered_map(work, [1], 1))


def test_unpicklable_error_is_a_runtime_error() -> None:
    def work(_: int) -> None:
        raise UnpicklableError(1, 2)

    with pytest.raises(RuntimeError, match="UnpicklableError: only one"):
        list(ordered_map(work, [1], 1))


def test_error_of_the_items_ends_the_workers() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(ordered_map(abs, items(), 2))
    assert children() == []


# Workers that die


def die(item: Any) -> Any:
    if isinstance(item, signal.Signals):
        os.kill(os.getpid(), item)
    if item == "exit":
        os._exit(3)
    if item == "sys.exit":
        sys.exit(4)
    if item == "segfault":
        faulthandler.disable()
        ctypes.string_at(0)
    return item


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("death", "reason"),
    [
        (signal.SIGKILL, "its worker was killed by SIGKILL (out of memory?)"),
        (signal.SIGTERM, "its worker was killed by SIGTERM"),
        ("segfault", "its worker was killed by SIGSEGV"),
        ("exit", "its worker ended with exit code 3"),
        ("sys.exit", "its worker ended with exit code 4"),
    ],
)
def test_item_of_a_worker_that_dies_is_lost(count: int, death: object, reason: str) -> None:
    items = [0, death, 1, 2, death, death, 3]
    lost = Lost(reason)
    assert list(ordered_map(die, items, count)) == [0, lost, 1, 2, lost, lost, 3]
    assert children() == []


def be_busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_stopped_process_does_not_time_out() -> None:
    """The limit is CPU time, so Ctrl-Z and `fg` do not count."""

    def stop_for_a_second(item: int) -> int:
        if item:
            script = f"sleep 1; kill -CONT {os.getpid()}"
            subprocess.Popen(["/bin/sh", "-c", script])
            os.kill(os.getpid(), signal.SIGSTOP)
        return item

    assert list(ordered_map(stop_for_a_second, [0, 1], 2, timeout_seconds=0.5)) == [0, 1]


@pytest.mark.parametrize("seconds", [1e-9, math.inf])
def test_any_timeout_is_accepted(seconds: float) -> None:
    assert list(ordered_map(abs, [-1, 2], 2, timeout_seconds=seconds)) == [1, 2]


def test_item_over_the_time_limit_is_lost() -> None:
    items = [0, 60, 0, 60, 0]
    lost = Lost("took over 0.5 s of CPU time")
    assert list(ordered_map(be_busy, items, 2, timeout_seconds=0.5)) == [
        *(None, lost, None, lost, None)
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such limit")
def test_item_over_the_memory_limit_is_lost() -> None:
    def allocate(mib: int) -> int:
        return len(bytearray(mib << 20))

    results = list(ordered_map(allocate, [1, 900, 2], 1, memory_bytes=512 << 20))
    assert results == [1 << 20, Lost("needs more than 0.5 GiB of memory"), 2 << 20]


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="there is no /proc")
def test_no_item_is_lost_if_an_idle_worker_is_killed() -> None:
    def items() -> Iterator[int]:
        yield 0
        yield 1
        for child in children():
            os.kill(child, signal.SIGKILL)
            while Path(f"/proc/{child}/stat").read_text().split()[2] != "Z":
                time.sleep(0.001)
        yield 2

    # A single worker is idle whenever the next item is consumed.
    assert list(ordered_map(abs, items(), 1)) == [0, 1, 2]


@pytest.mark.skipif(not os.path.exists("/proc/self"), reason="there is no /proc")
def test_workers_are_killed_first_if_memory_runs_out() -> None:
    def score(_: int) -> str:
        return Path("/proc/self/oom_score_adj").read_text().strip()

    assert list(ordered_map(score, [0], 1)) == ["1000"]


def test_without_fork_the_function_runs_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(item: int) -> int:
        if item == 1:
            raise MemoryError
        return os.getpid()

    monkeypatch.delattr(os, "fork")
    first, lost, last = ordered_map(work, range(3), 2)
    assert first == last == os.getpid()
    assert isinstance(lost, Lost)
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda item: 1 / item, [1, 0], 2))


# Interrupts


def test_closing_the_generator_ends_the_workers() -> None:
    results = ordered_map(lambda item: time.sleep(60 * (item > 0)), range(9), 3)
    next(results)
    assert len(children()) == 3
    results.close()
    assert children() == []


FOREVER = """
import os, signal, sys, time
from groovae.system.workers import ordered_map
def work(item):
    os.write(1, b"%d\\n" % item)
    while item:
        item += 1
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    list(ordered_map(work, [0, 3600, 3600], 2, timeout_seconds=float(sys.argv[1])))
except KeyboardInterrupt:
    sys.exit(130)
"""


@contextlib.contextmanager
def forever(timeout_seconds: float) -> Iterator[subprocess.Popen[str]]:
    """Run a process with two workers in endless loops, which hold its stdout open."""
    command = [sys.executable, "-c", FOREVER, str(timeout_seconds)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            lines = sorted(process.stdout.readline() for _ in range(3))
            assert lines == ["0\n", "3600\n", "3600\n"]
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_ctrl_c_ends_the_workers_silently() -> None:
    with forever(3600) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=60) == ("", "")
        assert process.returncode == 130


def test_workers_end_when_the_parent_is_killed() -> None:
    with forever(1) as process:
        process.kill()
        assert process.communicate(timeout=60) == ("", ""), "stdout is closed by the last worker"


def test_ctrl_c_during_a_fork_is_not_lost() -> None:
    """Python drops exceptions that are raised in fork hooks."""
    script = (
        "import os, signal, threading, time\n"
        "from groovae.system.workers import ordered_map\n"
        # A thread that receives the signal even if the main thread would not.
        "threading.Thread(target=time.sleep, args=(9,), daemon=True).start()\n"
        "def interrupt():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.1)\n"
        "os.register_at_fork(before=interrupt)\n"
        "list(ordered_map(abs, range(9), 2))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == -signal.SIGINT, result.stderr
