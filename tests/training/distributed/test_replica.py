"""Which process of a training this is: its share of the batch and of the windows."""

import itertools
from pathlib import Path

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

ADDRESSES = tuple(f"host{number}:2222" for number in range(4))


def in_cluster(number: int, sync: bool = False, count: int = 3) -> Replica:
    job, index = ("worker", number - 1) if number else ("chief", 0)
    cluster = Cluster(("ps0:2222",), ADDRESSES[:count], job, index)
    return current_replica(cluster, num_sync_workers=count if sync else 0)


@pytest.fixture
def windows(records: Path) -> CachedWindows:
    return window_cache.load(find(records), config_map.layout("groovae_4bar"), records.parent)


def taken(
    replica: Replica, windows: CachedWindows, batch: int, step: int, count: int
) -> list[Batch]:
    return list(itertools.islice(replica.batches(windows, replica.share(batch), 7, step), count))


def outputs(batches: list[Batch]) -> np.ndarray:
    return np.concatenate([batch.outputs for batch in batches])


@pytest.mark.parametrize("step", [0, 5])
def test_replicas_that_step_together_take_the_batch_of_one_process(
    step: int, windows: CachedWindows
) -> None:
    shares = [taken(in_cluster(n, sync=True), windows, 12, step, 2) for n in range(3)]
    together = [outputs([share[k] for share in shares]) for k in range(2)]
    alone = itertools.islice(training_batches(windows, 12, 7, step), 2)
    np.testing.assert_array_equal(together, [batch.outputs for batch in alone])


@pytest.mark.parametrize("step", [0, 5])
def test_replicas_by_themselves_take_the_batches_in_turn(step: int, windows: CachedWindows) -> None:
    turns = [taken(in_cluster(n), windows, 8, step, 2) for n in range(3)]
    dealt = [turn[k] for k in range(2) for turn in turns]
    alone = list(itertools.islice(training_batches(windows, 8, 7, step), 6))
    np.testing.assert_array_equal(outputs(dealt), outputs(alone))


def test_with_magentas_flags_each_worker_has_an_order_of_its_own(windows: CachedWindows) -> None:
    first, second = (
        taken(current_replica(None, master="grpc://a:1", task=task), windows, 8, 3, 1)
        for task in (0, 1)
    )
    np.testing.assert_array_equal(outputs(first), next(training_batches(windows, 8, 7, 3)).outputs)
    np.testing.assert_array_equal(outputs(second), next(training_batches(windows, 8, 8, 3)).outputs)


def test_who_trains_alone_takes_all(windows: CachedWindows) -> None:
    alone = current_replica(None)
    assert (alone.is_chief, alone.share(512), alone.windows_per_step(512)) == (True, 512, 512)
    assert (alone.hooks(None), alone.default_seed()) == ([], None)


def test_a_global_batch_is_kept_as_magenta_keeps_it() -> None:
    replica = in_cluster(2, sync=True)
    assert (replica.share(512), replica.windows_per_step(replica.share(512))) == (170, 510)
    assert in_cluster(2).share(512) == in_cluster(2).windows_per_step(512) == 512


def test_all_replicas_of_a_cluster_arrive_at_the_same_seed() -> None:
    assert len({in_cluster(number).default_seed() for number in range(3)}) == 1
    assert in_cluster(0, count=2).default_seed() != in_cluster(0, count=3).default_seed()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"num_ps_tasks": 1}, "TF_CONFIG.*--master"),
        ({"task": 1}, "TF_CONFIG.*--master"),
        ({"num_sync_workers": 2}, "TF_CONFIG.*--master"),
        ({"num_sync_workers": 2, "task": 2, "master": "grpc://a:1"}, "--task must be below"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(flags: dict[str, int], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        current_replica(None, **flags)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "flags", [{"master": "grpc://a:1"}, {"num_ps_tasks": 1}, {"task": 1}, {"num_sync_workers": 2}]
)
def test_flags_that_contradict_tf_config_are_refused(flags: dict[str, int]) -> None:
    cluster = Cluster(("ps0:2222",), ADDRESSES[:3], "chief", 0)
    with pytest.raises(UsageError, match="TF_CONFIG"):
        current_replica(cluster, **flags)  # type: ignore[arg-type]


def test_a_batch_too_small_to_share_is_refused() -> None:
    with pytest.raises(UsageError, match="a batch of 2 is too small for 3 workers"):
        in_cluster(0, sync=True).share(2)
