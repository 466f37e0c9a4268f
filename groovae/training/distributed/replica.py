"""Which of the processes of a training this one is, and what that changes.

A process trains alone, or is a replica of a cluster that TF_CONFIG describes, or one whose session
runs on a server that somebody else has started, by Magenta's flags `--master`, `--num_ps_tasks` and
`--task`. Replicas that step together (`--num_sync_workers`) share a batch, as in Magenta; others
take a batch each. Together they see the windows in the order in which one process would.
"""

import contextlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from groovae.data.batches import Batch, training_batches
from groovae.data.window_cache import CachedWindows
from groovae.errors import UsageError
from groovae.training.distributed import runtime
from groovae.training.distributed.sync_hooks import SyncHook
from groovae.training.distributed.tf_config import Cluster
from groovae.upstream import tf


@dataclass(frozen=True)
class Replica:
    """This process among those that train together.

    Attributes:
      number: 0 for the chief, or for a process that trains alone.
      count: How many replicas there are, as far as is known.
      num_sync_workers: How many apply their gradients together; 0 for each by itself.
      num_ps_tasks: Parameter servers, where there is no `cluster`.
      master: The TensorFlow server of the session, where there is no `cluster`.
      cluster: What TF_CONFIG says.
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
    def target(self, log: Any) -> Iterator[str]:
        """The server that sessions run on, started if that is for this process to do."""
        if self.cluster is None:
            yield self.master
        else:
            with runtime.cluster_session(self.cluster, log) as target:
                yield target

    def device(self) -> Any:
        """Where variables and operations go, for `tf.device`."""
        if self.cluster:
            return runtime.device_setter(self.cluster)
        worker = f"/job:worker/task:{self.number}"
        return tf.train.replica_device_setter(self.num_ps_tasks, worker_device=worker)

    def session_config(self) -> Any:
        """Leaves out TensorFlow's graph optimizer, except on a GPU, where it also chooses layouts.

        On a CPU it takes some seconds at each of the first two steps and makes no step faster; the
        losses are the same.
        """
        config = tf.ConfigProto()
        has_gpu = bool(tf.config.list_physical_devices("GPU"))
        config.graph_options.rewrite_options.disable_meta_optimizer = not has_gpu
        return runtime.add_filters(config, self.cluster) if self.cluster else config

    def hooks(self, optimizer: Any) -> list[Any]:
        """The session hooks that keep replicas together."""
        sync_optimizer = optimizer if self.num_sync_workers else None
        if self.cluster:
            return runtime.hooks(self.cluster, sync_optimizer)
        return [SyncHook(optimizer, self.is_chief)] if sync_optimizer else []

    def share(self, batch_size: int) -> int:
        """Of a config's batch, the windows that one replica takes at a step."""
        if batch_size < self.num_sync_workers:
            raise UsageError(
                f"a batch of {batch_size} is too small for {self.num_sync_workers} workers"
            )
        return batch_size // max(1, self.num_sync_workers)

    def windows_per_step(self, share: int) -> int:
        return share * max(1, self.num_sync_workers)

    def batches(self, windows: CachedWindows, share: int, seed: int, step: int) -> Iterator[Batch]:
        """The batches of this replica from a global step on."""
        if self.master and not self.num_sync_workers:  # of how many, nobody knows
            return training_batches(windows, share, seed + self.number, step)
        steps_apart = self.count if self.num_sync_workers else 1
        return training_batches(windows, share, seed, step * steps_apart + self.number, self.count)

    def default_seed(self) -> int | None:
        """One that all replicas of a cluster arrive at by themselves."""
        if self.cluster is None:
            return None
        return zlib.crc32(repr((self.cluster.ps, self.cluster.replicas)).encode()) % 2**31


def current_replica(
    cluster: Cluster | None,
    num_sync_workers: int = 0,
    num_ps_tasks: int = 0,
    master: str = "",
    task: int = 0,
) -> Replica:
    """The replica that this process is.

    Raises:
      UsageError: the numbers do not go together.
    """
    if cluster is None:
        if (task or num_ps_tasks or num_sync_workers > 1) and not master:
            raise UsageError(
                "--task, --num_ps_tasks and --num_sync_workers over 1 need TF_CONFIG, which names "
                "the processes of a cluster, or the --master of a running server; see "
                "docs/scaling.md, or leave them out to train in this process"
            )
        if num_sync_workers and task >= num_sync_workers:
            raise UsageError(f"--task must be below --num_sync_workers={num_sync_workers}")
        count = num_sync_workers or 1
        return Replica(task, count, num_sync_workers, num_ps_tasks, master)
    if master or num_ps_tasks or task:
        raise UsageError(
            "--master, --num_ps_tasks and --task say what TF_CONFIG says; leave them out, or unset "
            "TF_CONFIG"
        )
    count = len(cluster.replicas)
    if num_sync_workers not in (0, count):
        raise UsageError(
            f"--num_sync_workers must be {count}, the chief and workers of TF_CONFIG, or 0, got "
            f"{num_sync_workers}"
        )
    return Replica(cluster.replica, count, num_sync_workers, cluster=cluster)
