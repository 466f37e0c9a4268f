"""A cluster of real processes on loopback, for the tests of training past one machine."""

import contextlib
import json
import signal
import socket
import subprocess

TIMEOUT_SECONDS = 600  # five processes that import TensorFlow on a busy machine
ALL = ("ps0", "chief0", "worker0", "worker1")


class Processes:
    """1 ps, 1 chief and 2 workers, each launched with a TF_CONFIG of its own."""

    def __init__(self) -> None:
        ps, chief, *workers = (f"127.0.0.1:{port}" for port in free_ports(4))
        self._cluster = {"ps": [ps], "chief": [chief], "worker": workers}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self):
        for name in ALL:
            self.start(name)
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()

    def launch(self, name: str, tf_config: str) -> "subprocess.Popen[bytes]":
        """Starts the process of this name."""
        raise NotImplementedError

    def start(self, name: str) -> None:
        task = {"type": name[:-1], "index": int(name[-1])}
        self._running[name] = self.launch(
            name, json.dumps({"cluster": self._cluster, "task": task})
        )

    def kill(self, name: str) -> None:
        self._running[name].kill()
        assert self._running[name].wait() == -signal.SIGKILL

    def signal(self, name: str, number: signal.Signals) -> None:
        self._running[name].send_signal(number)

    def is_running(self, name: str) -> bool:
        return self._running[name].poll() is None

    def codes(self, *names: str) -> dict[str, int]:
        """The exit codes, once all have ended."""
        return {name: self._running[name].wait(TIMEOUT_SECONDS) for name in names}


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
