"""A cluster of real `groovae train` processes on loopback: 1 ps, 1 chief, 2 workers."""

import contextlib
import functools
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from groovae.model.checkpoints import find_checkpoint
from groovae.model.formats import step_of

TIMEOUT_SECONDS = 600
ALL = ("ps0", "chief0", "worker0", "worker1")

# Processes forked from one that has imported TensorFlow, which takes 10 s of a core each otherwise.
FORKSERVER = multiprocessing.get_context("forkserver")
FORKSERVER.set_forkserver_preload(["groovae.training.train", "groovae.cli.commands.train"])


class ClusterProcesses:
    """The processes of a training in FOLDER/train, each in a folder of its own, FOLDER/NAME.

    Args:
      folder: The folder.
      lost_after_seconds: Seconds until an unreachable ps counts as lost.
      flags: Flags of `groovae train`.
    """

    def __init__(self, folder: Path, lost_after_seconds: float = 30, **flags: object):
        self._folder, self._lost_after_seconds = folder, lost_after_seconds
        flags["train_dir"] = folder / "train"
        self._flags = [f"--{name}={value}" for name, value in flags.items()]
        ps, chief, *workers = (f"127.0.0.1:{port}" for port in free_ports(4))
        self._cluster = {"ps": [ps], "chief": [chief], "worker": workers}
        self._processes: dict[str, Any] = {}

    def __enter__(self) -> "ClusterProcesses":
        for name in ALL:
            self.start(name)
        return self

    def __exit__(self, *error: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.join()

    def start(self, name: str) -> None:
        task = {"type": name[:-1], "index": int(name[-1])}
        tf_config = json.dumps({"cluster": self._cluster, "task": task})
        (self._folder / name).mkdir(exist_ok=True)
        self._processes[name] = start_training(
            self._folder / name, self._flags, tf_config, self._lost_after_seconds
        )

    def kill(self, name: str) -> None:
        self._processes[name].kill()
        self._processes[name].join()
        assert self._processes[name].exitcode == -signal.SIGKILL, self.log(name)

    def interrupt(self, name: str) -> None:
        os.kill(self._processes[name].pid, signal.SIGINT)

    def exit_codes(self, *names: str) -> dict[str, int | None]:
        """Return the exit codes when all have ended; None for one that has not in time."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        for name in names:
            self._processes[name].join(max(0, deadline - time.monotonic()))
        return {name: self._processes[name].exitcode for name in names}

    def log(self, name: str) -> str:
        return (self._folder / name / "log").read_text()

    def step(self) -> int:
        """Return the step of the last checkpoint."""
        checkpoint = find_checkpoint(self._folder / "train")
        return step_of(checkpoint) if checkpoint else 0

    def wait_for_step(self, step: int) -> None:
        """Wait until the chief has saved a checkpoint of that step or a later one."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while self.step() < step:
            assert time.monotonic() < deadline, self.log("chief0")
            assert self._processes["chief0"].is_alive(), self.log("chief0")
            time.sleep(0.2)


def start_training(
    folder: Path, flags: list[str], tf_config: str = "", lost_after_seconds: float = 30
) -> Any:
    """Start `groovae train` in a process of its own in a folder, with its output in FOLDER/log."""
    arguments = (folder, flags, tf_config, lost_after_seconds)
    process = FORKSERVER.Process(target=_train, args=arguments)
    process.start()
    return process


def _train(folder: Path, flags: list[str], tf_config: str, lost_after_seconds: float) -> None:
    """Run `groovae train` in a forked process, as in one of its own."""
    from groovae.cli.main import main
    from groovae.training import losses
    from groovae.training.distributed import runtime
    from groovae.upstream import tf

    os.chdir(folder)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if tf_config:
        os.environ["TF_CONFIG"] = tf_config
    runtime.LOST_AFTER_SECONDS = lost_after_seconds
    losses.BATCH_SIZE = 10  # as Magenta's graph has operations for each window of a batch
    # Else a worker looks only each 30 seconds whether the variables of a new ps are restored.
    tf.train.SessionManager.__init__ = functools.partialmethod(
        tf.train.SessionManager.__init__, recovery_wait_secs=1
    )
    sys.exit(main(["train", *flags]))


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
