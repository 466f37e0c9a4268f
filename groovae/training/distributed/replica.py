"""The role of this process in a training, and what depends on it. `train.py` uses only this module.

A process trains alone, or is a replica of the cluster in TF_CONFIG, or uses a server that was
started elsewhere (Magenta's flags `--master`, `--num_ps_tasks` and `--task`). Synchronous replicas
(`--num_sync_workers`) share a batch, as in Magenta; asynchronous ones take a batch each. Together
they see the windows in the order in which one process would.
"""

import contextlib
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from groovae.data.batches import Batch, training_batches
from groovae.data.window_cache import CachedWindows
from groovae.errors import UsageError, shorten_value
from groovae.system.log import Log
from groovae.training.distributed import runtime
from groovae.training.distributed.sync_hooks import SyncHook
from groovae.training.distributed.tf_config import Cluster
from groovae.training.options import TrainOptions
from groovae.upstream import tf

GRPC = "grpc://"  # of the addresses of TensorFlow's servers


@dataclass(frozen=True)
class Replica:
    """A process that computes gradients, alone or together with others.

    Attributes:
      number: 0 for the chief, or for a process that trains alone.
      count: Number of replicas, as far as known.
      num_sync_workers: Number of synchronous replicas; 0 if asynchronous or alone.
      num_ps_tasks: Number of parameter servers, without a `cluster`.
      master: TensorFlow server of the session, without a `cluster`; empty for this process.
      cluster: The cluster of TF_CONFIG, or None.
    """

    number: int = 0
    count: int = 1
    num_sync_workers: int = 0
    num_ps_tasks: int = 0
    master: str = ""
    cluster: Cluster | None = None

    @property
    def is_chief(self) -> bool:
        return self.number == 0

    @contextlib.contextmanager
    def session_target(self, log: Log) -> Iterator[str]:
        """Yield the target for sessions; starts this process's server in a cluster."""
        if self.cluster is None:
            if self.master.startswith(GRPC):
                runtime.wait_for_server(self.master.removeprefix(GRPC), log)
            yield self.master
        else:
            with runtime.cluster_session(self.cluster, log) as target:
                yield target

    def wait_for_chief(self, target: str, log: Log) -> bool:
        """Wait for the chief of a cluster; return False if the training is over already."""
        return self.cluster is None or runtime.wait_for_chief(self.cluster, target, log)

    def end_training(self, target: str) -> None:
        """End the other processes of a cluster."""
        if self.cluster:
            runtime.end_training(self.cluster, target)

    def device(self) -> Any:
        """Return the placement of variables and operations, for `tf.device`."""
        if self.cluster:
            return runtime.device_setter(self.cluster)
        worker = f"/job:worker/task:{self.number}"
        return tf.train.replica_device_setter(self.num_ps_tasks, worker_device=worker)

    def session_config(self) -> Any:
        """Return a ConfigProto without TensorFlow's graph optimizer, except on a GPU.

        On a CPU the optimizer takes seconds at each of the first two steps and speeds up none. On a
        GPU it also chooses layouts. The losses are the same.
        """
        config = tf.ConfigProto()
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        config.graph_options.rewrite_options.disable_meta_optimizer = not has_gpu
        return runtime.add_device_filters(config, self.cluster) if self.cluster else config

    def session_hooks(self, optimizer: Any) -> list[Any]:
        """Return the session hooks that coordinate the replicas."""
        sync_optimizer = optimizer if self.num_sync_workers else None
        if self.cluster:
            return runtime.session_hooks(self.cluster, sync_optimizer)
        return [SyncHook(optimizer, self.is_chief)] if sync_optimizer else []

    def share(self, batch_size: int) -> int:
        """Return the number of windows that this replica takes of a config's batch.

        Raises:
          UsageError: the batch is smaller than the number of synchronous replicas.
        """
        if batch_size < self.num_sync_workers:
            raise UsageError(
                f"a batch of {batch_size} is too small for {self.num_sync_workers} workers"
            )
        return batch_size // max(1, self.num_sync_workers)

    def windows_per_step(self, share: int) -> int:
        """Return the windows of a global step, given the share of each replica."""
        return share * max(1, self.num_sync_workers)

    def batches(
        self, windows: CachedWindows, share: int, seed: int, step: int, kinds: Sequence[str] = ()
    ) -> Iterator[Batch]:
        """Yield the batches of this replica from a global step on, augmented by some kinds."""
        if self.master and not self.num_sync_workers:  # the number of workers is unknown
            return training_batches(windows, share, seed + self.number, step, kinds=kinds)
        batches_per_step = self.count if self.num_sync_workers else 1
        first = step * batches_per_step + self.number
        return training_batches(windows, share, seed, first, self.count, kinds)

    def default_seed(self) -> int | None:
        """Return a seed that is the same in all replicas of a cluster, or None without one."""
        if self.cluster is None:
            return None
        return zlib.crc32(repr((self.cluster.ps, self.cluster.replicas)).encode()) % 2**31


def current_replica(cluster: Cluster | None, options: TrainOptions) -> Replica:
    """Return the replica that this process is.

    Raises:
      UsageError: the options contradict each other or TF_CONFIG.
    """
    master, task = options.master, options.task
    num_sync_workers, num_ps_tasks = options.num_sync_workers, options.num_ps_tasks
    if cluster is None:
        if (task or num_ps_tasks or num_sync_workers > 1) and not master:
            raise UsageError(
                "--task, --num_ps_tasks and --num_sync_workers over 1 need a cluster in TF_CONFIG "
                "or a running server in --master (see docs/scaling.md); leave them out to train in "
                "this process"
            )
        if not re.fullmatch(rf"(local|{GRPC}[^/]+:[0-9]{{1,5}})?", master):
            raise UsageError(f"--master must be {GRPC}HOST:PORT, got {shorten_value(master)}")
        if num_sync_workers and task >= num_sync_workers:
            raise UsageError(
                f"--task must be below --num_sync_workers={num_sync_workers}, got {task}"
            )
        return Replica(task, num_sync_workers or 1, num_sync_workers, num_ps_tasks, master)
    if master or num_ps_tasks or task:
        raise UsageError(
            "--master, --num_ps_tasks and --task cannot be combined with TF_CONFIG, which sets the "
            "same; leave them out, or unset TF_CONFIG"
        )
    count = len(cluster.replicas)
    if num_sync_workers not in (0, count):
        raise UsageError(
            f"--num_sync_workers must be 0 or {count}, the number of replicas (chief and workers) "
            f"in TF_CONFIG, got {num_sync_workers}"
        )
    return Replica(cluster.replica, count, num_sync_workers, cluster=cluster)
