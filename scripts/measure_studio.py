"""Measure how long each action of `groovae studio` takes, over HTTP, with the bundled models.

    python scripts/measure_studio.py

Starts the studio and prints a table in Markdown, in milliseconds: the median and the slowest of 20
requests of each action, on a groove of four bars, and their mean processor time in the server, on
which other programs have little influence (Linux only). It takes a minute.
"""

import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RUNS = 20
SETTLE_SECONDS = 15.0  # in which the sounds are rendered and the models warm up


class Client:
    """One connection to a studio."""

    def __init__(self, url: str):
        self._url = urlsplit(url)
        self._connection = http.client.HTTPConnection(self._url.netloc, timeout=60)

    def ask(self, path: str, body: bytes | None = None) -> tuple[float, bytes]:
        """Return the seconds that the answer took, and the answer."""
        started = time.perf_counter()
        method = "GET" if body is None else "POST"
        self._connection.request(method, f"{self._url.path}{path}", body)
        response = self._connection.getresponse()
        answer = response.read()
        seconds = time.perf_counter() - started
        if response.status != 200:
            raise SystemExit(f"{path}: {response.status} {answer.decode()}")
        return seconds, answer


def main() -> None:
    started = time.perf_counter()
    with running_studio() as (url, pid):
        print(f"start to URL: {time.perf_counter() - started:.1f} s\n")
        time.sleep(SETTLE_SECONDS)
        _print_table(Client(url), pid)


@contextlib.contextmanager
def running_studio() -> Iterator[tuple[str, int]]:
    """Start the studio; yield its URL and the number of its process, which ends afterwards."""
    command = [sys.executable, "-m", "groovae", "studio", "--nobrowser", "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout
            yield studio.stdout.readline().strip(), studio.pid
        finally:
            studio.terminate()


def _print_table(client: Client, pid: int) -> None:
    tasks = json.loads(client.ask("api/about")[1])["tasks"]
    print("| action | median | slowest | processor time |\n|---|---:|---:|---:|")
    for label, path, values in _actions(client):
        name = path.removeprefix("api/")
        if name in ("sample", "read", "midi", "wav", "decode") or name in tasks:
            body = values if isinstance(values, bytes) else json.dumps(values).encode()
            client.ask(path, body)  # the first request may load a part of the model
            before = _processor_seconds(pid)
            times = [1000 * client.ask(path, body)[0] for _ in range(RUNS)]
            used = 1000 * (_processor_seconds(pid) - before) / RUNS
            print(f"| {label} | {statistics.median(times):.0f} | {max(times):.0f} | {used:.0f} |")


def _processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended; see proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def _actions(client: Client) -> list[tuple[str, str, Any]]:
    """Return label, path and body of each action."""
    groove, other = (_sample(client, seed, 4) for seed in (1, 2))
    long = _sample(client, 3, 64)
    on = {"groove": groove, "seed": 1}
    midi = client.ask("api/midi", json.dumps({"groove": long}).encode())[1]
    return [
        ("new groove", "api/sample", {"bars": 4}),
        ("8 new grooves", "api/sample", {"bars": 4, "num_outputs": 8}),
        ("new groove of 64 bars", "api/sample", {"bars": 64}),
        ("vary", "api/vary", on),
        ("humanize", "api/humanize", on),
        ("humanize 64 bars", "api/humanize", {"groove": long, "seed": 1}),
        ("add a hi-hat", "api/add_hihat", on),
        ("tap to drum", "api/tap2drum", on),
        ("transfer", "api/transfer", {**on, "feel": other}),
        (
            "interpolate, 11 steps",
            "api/interpolate",
            {"start": groove, "end": other, "num_steps": 11},
        ),
        ("infill", "api/infill", {**on, "bars": [3, 4]}),
        ("a place of the map", "api/decode", {"x": 0.1, "y": 0.2}),
        ("read MIDI of 64 bars", "api/read", midi),
        ("write MIDI of 64 bars", "api/midi", {"groove": long}),
        ("WAV", "api/wav", {"groove": groove}),
    ]


def _sample(client: Client, seed: int, bars: int) -> Any:
    answer = client.ask("api/sample", json.dumps({"seed": seed, "bars": bars}).encode())[1]
    return json.loads(answer)["grooves"][0]


if __name__ == "__main__":
    main()
