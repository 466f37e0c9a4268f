"""Read TF_CONFIG, TensorFlow's description of the processes of a distributed training.

Parameter servers (ps) hold the variables. Replicas compute gradients: the chief, which also
initializes, saves and logs, and the workers. Each process gets the same `cluster` and its own
`task`; Kubeflow sets both, and `docs/scaling.md` shows how to set them elsewhere:

    TF_CONFIG='{"cluster": {"chief": ["a:2222"], "worker": ["b:2222"], "ps": ["c:2222"]},
                "task": {"type": "worker", "index": 0}}' groovae train

The older job name "master" means the chief; without either, worker 0 is the chief. This module
does not import TensorFlow; `runtime.py` runs the process.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from groovae.errors import UsageError

VARIABLE = "TF_CONFIG"
JOBS = ("chief", "master", "worker", "ps", "evaluator")
ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:/\[\]]+):(\d{1,5})")
EXAMPLE = (
    '{"cluster": {"chief": ["a:2222"], "worker": ["b:2222"], "ps": ["c:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The processes of a distributed training and the role of this one.

    Attributes:
      ps: host:port of each parameter server.
      replicas: host:port of the chief, then of each worker.
      job: The job of this process: "ps", "chief" or "worker".
      index: The number of this process in its job, from 0.
    """

    ps: tuple[str, ...]
    replicas: tuple[str, ...]
    job: str
    index: int

    @property
    def is_ps(self) -> bool:
        return self.job == "ps"

    @property
    def is_chief(self) -> bool:
        return self.job == "chief"

    @property
    def replica(self) -> int:
        """The number of this replica: 0 for the chief, from 1 for the workers."""
        if self.is_ps:
            raise ValueError("a parameter server is not a replica")
        return self.index + (self.job == "worker")

    @property
    def address(self) -> str:
        """host:port of this process."""
        return self.ps[self.index] if self.is_ps else self.replicas[self.replica]

    @property
    def jobs(self) -> dict[str, list[str]]:
        """The addresses by job, as tf.train.ClusterSpec takes them."""
        chief, *workers = self.replicas
        jobs = {"ps": list(self.ps), "chief": [chief], "worker": workers}
        return {job: addresses for job, addresses in jobs.items() if addresses}


def from_environment(environ: Mapping[str, str] = os.environ) -> Cluster | None:
    """Return the cluster in TF_CONFIG, or None if this process trains alone.

    It trains alone if TF_CONFIG is unset or empty, has no cluster, or has one replica and no ps.

    Raises:
      UsageError: TF_CONFIG is malformed, its task is not in its cluster, it has several replicas
        but no ps, or it makes this process an evaluator.
    """
    text = environ.get(VARIABLE, "").strip()
    config = _object(_parse(text), "") if text else {}
    addresses = _addresses(config.get("cluster") or {})
    replicas = addresses["chief"] + addresses["master"] + addresses["worker"]
    task = _object(config.get("task") or {}, "task")
    if task.get("type") == "evaluator":
        raise UsageError(
            f"{VARIABLE} makes this process an evaluator, which `groovae train` is not; run "
            "`groovae evaluate --watch` instead"
        )
    if not addresses["ps"] and len(replicas) < 2:
        return None
    _check_addresses(addresses, replicas)
    job, index = _task(task, addresses)
    if job == "ps":
        return Cluster(addresses["ps"], replicas, job, index)
    replica = replicas.index(addresses[job][index])
    job, index = ("worker", replica - 1) if replica else ("chief", 0)
    return Cluster(addresses["ps"], replicas, job, index)


def _invalid(part: str, value: object, rule: str) -> UsageError:
    where = f"{VARIABLE}: {part}" if part else VARIABLE
    shown = value if isinstance(value, str) else json.dumps(value)
    return UsageError(f"{where} {rule}, got {shown:.200}; an example is {EXAMPLE}")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _invalid("", text, f"must be JSON ({error})") from error


def _object(value: Any, part: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(part, value, "must be an object")
    return value


def _addresses(cluster: Any) -> dict[str, tuple[str, ...]]:
    """Return the addresses of each of `JOBS`, empty for those not in the cluster."""
    for job, addresses in _object(cluster, "cluster").items():
        if job not in JOBS:
            raise _invalid("cluster", job, "may have only the jobs chief, worker and ps")
        if not isinstance(addresses, list):
            raise _invalid(f"cluster.{job}", addresses, 'must be a list of "host:port"')
        for address in addresses:
            match = ADDRESS.fullmatch(address) if isinstance(address, str) else None
            if not match or not 0 < int(match[2]) < 65536:
                raise _invalid(f"cluster.{job}", address, 'must be a list of "host:port"')
    return {job: tuple(cluster.get(job, ())) for job in JOBS}


def _check_addresses(addresses: dict[str, tuple[str, ...]], replicas: tuple[str, ...]) -> None:
    everyone = [*addresses["ps"], *replicas]
    repeated = [address for address in everyone if everyone.count(address) > 1]
    chiefs = list(addresses["chief"] + addresses["master"])
    if repeated:
        raise _invalid("cluster", repeated[0], "must have each address once")
    if len(chiefs) > 1:
        raise _invalid("cluster", chiefs, "must have one chief")
    if not replicas:
        raise _invalid("cluster", sorted(addresses["ps"]), "must have a chief, not only a ps")
    if not addresses["ps"]:
        raise _invalid("cluster", list(replicas), "must have a ps for several replicas")


def _task(task: dict[str, Any], addresses: dict[str, tuple[str, ...]]) -> tuple[str, int]:
    """Return job and index of this process, as in TF_CONFIG."""
    job, index = task.get("type"), task.get("index", 0)
    if not isinstance(job, str) or not addresses.get(job):
        present = " or ".join(name for name in JOBS if addresses[name])
        raise _invalid("task.type", job, f"must be {present}, the jobs of the cluster")
    if isinstance(index, str) and re.fullmatch(r"[0-9]{1,9}", index):
        index = int(index)  # some operators write a string
    if not isinstance(index, int) or isinstance(index, bool):
        raise _invalid("task.index", index, "must be an integer")
    if not 0 <= index < len(addresses[job]):
        rule = f"must be below {len(addresses[job])}, the number of {job} in the cluster"
        raise _invalid("task.index", index, rule)
    return job, index
