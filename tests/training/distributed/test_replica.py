"""Replicas: their share of the batch and of the windows, and their flags."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from groovae.config import config_map
from groovae.data import window_cache
from groovae.data.batches import Batch, training_batches
from groovae.data.records import find
from groovae.data.window_cache import CachedWindows
from groovae.errors import UsageError
from groovae.training.distributed.replica import Replica, current_replica
from groovae.training.distributed.tf_config import Cluster
from groovae.training.options import TrainOptions

ADDRESSES = tuple(f"host{number}:2222" for number in range(4))


def in_cluster(number: int, sync: bool = False, count: int = 3) -> Replica:
    job, index = ("worker", number - 1) if number else ("chief", 0)
    cluster = Cluster(("ps0:2222",), ADDRESSES[:count], job, index)
    return current_replica(cluster, TrainOptions(num_sync_workers=count if sync else 0))


def replica_for(cluster: Cluster | None = None, **flags: Any) -> Replica:
    return current_replica(cluster, TrainOptions(**flags))


@pytest.fixture
def windows(records: Path) -> CachedWindows:
    return window_cache.load(find(records), config_map.layout("groovae_4bar"), records.parent)


def batches_from(
    step: int, replica: Replica, windows: CachedWindows, batch_size: int, count: int
) -> list[Batch]:
    batches = replica.batches(windows, replica.share(batch_size), 7, step)
    return list(itertools.islice(batches, count))


def outputs(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch.outputs for batch in batches])


@pytest.mark.parametrize("step", [0, 5])
def test_synchronous_replicas_share_the_batch_of_one_process(
    step: int, windows: CachedWindows
) -> None:
    shares = [batches_from(step, in_cluster(n, sync=True), windows, 12, 2) for n in range(3)]
    together = [outputs([share[k] for share in shares]) for k in range(2)]
    alone = itertools.islice(training_batches(windows, 12, 7, step), 2)
    np.testing.assert_array_equal(together, [batch.outputs for batch in alone])


@pytest.mark.parametrize("step", [0, 5])
def test_asynchronous_replicas_take_batches_in_turn(step: int, windows: CachedWindows) -> None:
    turns = [batches_from(step, in_cluster(n), windows, 8, 2) for n in range(3)]
    dealt = [turn[k] for k in range(2) for turn in turns]
    alone = list(itertools.islice(training_batches(windows, 8, 7, step), 6))
    np.testing.assert_array_equal(outputs(dealt), outputs(alone))


def test_workers_by_magentas_flags_shuffle_independently(windows: CachedWindows) -> None:
    first, second = (
        batches_from(3, replica_for(master="grpc://a:1", task=task), windows, 8, 1)
        for task in (0, 1)
    )
    np.testing.assert_array_equal(outputs(first), next(training_batches(windows, 8, 7, 3)).outputs)
    np.testing.assert_array_equal(outputs(second), next(training_batches(windows, 8, 8, 3)).outputs)


def test_single_process_takes_the_whole_batch(windows: CachedWindows) -> None:
    alone = replica_for()
    assert (alone.is_chief, alone.share(512), alone.windows_per_step(512)) == (True, 512, 512)
    assert (alone.session_hooks(None), alone.default_seed()) == ([], None)


def test_batch_is_divided_as_by_magenta() -> None:
    replica = in_cluster(2, sync=True)
    assert (replica.share(512), replica.windows_per_step(replica.share(512))) == (170, 510)
    assert in_cluster(2).share(512) == in_cluster(2).windows_per_step(512) == 512


def test_replicas_of_a_cluster_have_the_same_default_seed() -> None:
    assert len({in_cluster(number).default_seed() for number in range(3)}) == 1
    assert in_cluster(0, count=2).default_seed() != in_cluster(0, count=3).default_seed()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"num_ps_tasks": 1}, "TF_CONFIG.*--master"),
        ({"task": 1}, "TF_CONFIG.*--master"),
        ({"num_sync_workers": 2}, "TF_CONFIG.*--master"),
        ({"num_sync_workers": 2, "task": 2, "master": "grpc://a:1"}, "--task must be below"),
        ({"master": "nonsense"}, "--master must be grpc://HOST:PORT"),
    ],
)
def test_contradictory_flags_are_refused(flags: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replica_for(**flags)


@pytest.mark.parametrize(
    "flags", [{"master": "grpc://a:1"}, {"num_ps_tasks": 1}, {"task": 1}, {"num_sync_workers": 2}]
)
def test_flags_that_contradict_tf_config_are_refused(flags: dict[str, Any]) -> None:
    cluster = Cluster(("ps0:2222",), ADDRESSES[:3], "chief", 0)
    with pytest.raises(UsageError, match="TF_CONFIG"):
        replica_for(cluster, **flags)


def test_batch_smaller_than_the_number_of_replicas_is_refused() -> None:
    with pytest.raises(UsageError, match=r"batch of 2 .* 3 workers"):
        in_cluster(0, sync=True).share(2)
