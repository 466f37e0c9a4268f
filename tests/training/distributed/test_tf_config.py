"""TF_CONFIG in each of the forms that its writers use, and malformed ones."""

import json
import subprocess
import sys
from typing import Any

import pytest

from groovae.errors import UsageError
from groovae.training.distributed.tf_config import Cluster, from_environment

PS, CHIEF, WORKERS = ["p:1", "q:2"], ["c:3"], ["v:4", "w:5"]
FULL = {"ps": PS, "chief": CHIEF, "worker": WORKERS}


def read(cluster: Any, job: Any = "chief", index: Any = 0) -> Cluster | None:
    config = {"cluster": cluster, "task": {"type": job, "index": index}}
    return from_environment({"TF_CONFIG": json.dumps(config)})


def error_for(text: str) -> str:
    """Return the error message for a TF_CONFIG, which must be one line."""
    with pytest.raises(UsageError) as error:
        from_environment({"TF_CONFIG": text})
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith("TF_CONFIG")
    return message


@pytest.mark.parametrize(
    ("job", "index", "replica", "address"),
    [
        ("ps", 1, None, "q:2"),
        ("chief", 0, 0, "c:3"),
        ("worker", 0, 1, "v:4"),
        ("worker", 1, 2, "w:5"),
    ],
)
def test_each_process_finds_its_task(
    job: str, index: int, replica: int | None, address: str
) -> None:
    cluster = read(FULL, job, index)
    assert cluster == Cluster(("p:1", "q:2"), ("c:3", "v:4", "w:5"), job, index)
    assert (cluster.is_ps, cluster.is_chief) == (job == "ps", job == "chief")
    assert cluster.address == address
    assert cluster.jobs == FULL
    if replica is None:
        with pytest.raises(ValueError, match="not a replica"):
            _ = cluster.replica
    else:
        assert cluster.replica == replica


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "{}",
        '{"task": {"type": "worker", "index": 0}}',
        '{"cluster": {}}',
        '{"cluster": {"chief": ["c:3"]}, "task": {"type": "chief", "index": 0}}',
        '{"cluster": {"worker": ["c:3"]}}',
        '{"cluster": null, "task": null, "environment": "cloud"}',
    ],
)
def test_single_process_has_no_cluster(text: str) -> None:
    assert from_environment({"TF_CONFIG": text}) is None
    assert from_environment({}) is None


def test_master_is_the_chief() -> None:
    cluster = {"ps": PS, "master": CHIEF, "worker": WORKERS}
    assert read(cluster, "master") == read(FULL, "chief")
    assert read(cluster, "worker", 1) == read(FULL, "worker", 1)


def test_worker_0_is_the_chief_without_one() -> None:
    cluster = {"ps": PS, "worker": CHIEF + WORKERS}
    assert read(cluster, "worker", 0) == read(FULL, "chief")
    assert read(cluster, "worker", 2) == read(FULL, "worker", 1)
    assert read(cluster, "ps", 1) == read(FULL, "ps", 1)


def test_chief_and_ps_are_a_cluster() -> None:
    cluster = read({"ps": PS[:1], "chief": CHIEF})
    assert cluster
    assert cluster.jobs == {"ps": PS[:1], "chief": CHIEF}


def test_index_may_be_a_string() -> None:
    assert read(FULL, "worker", "1") == read(FULL, "worker", 1)


def test_evaluator_in_the_cluster_is_ignored() -> None:
    assert read({**FULL, "evaluator": ["e:9"]}, "worker", 1) == read(FULL, "worker", 1)


@pytest.mark.parametrize("address", ["a:1", "[::1]:2222", "10.0.0.1:65535", "a-b.svc.local:2222"])
def test_hosts_may_be_names_or_addresses(address: str) -> None:
    cluster = read({"ps": [address], "chief": CHIEF})
    assert cluster
    assert cluster.ps == (address,)


def test_evaluator_task_names_the_command_to_run() -> None:
    config = {"cluster": FULL, "task": {"type": "evaluator", "index": 0}}
    assert "groovae evaluate --watch" in error_for(json.dumps(config))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{cluster}", ["must be JSON", "{cluster}"]),
        ("[" * 100_000, ["must be JSON"]),
        ("[1]", ["must be an object", "[1]"]),
        ('{"cluster": ["a:1"]}', ["cluster must be an object", '["a:1"]']),
        ('{"cluster": {"boss": ["a:1"]}}', ["cluster may have only the jobs", "boss"]),
    ],
)
def test_malformed_json_is_refused(text: str, words: list[str]) -> None:
    message = error_for(text)
    assert all(word in message for word in [*words, '"task": {"type": "worker"'])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ps": "p:1"}, ["cluster.ps", "must be a list", "p:1"]),
        ({"ps": {"0": "p:1"}}, ["cluster.ps", "must be a list"]),
        ({"ps": [5]}, ["cluster.ps", "host:port", "got 5"]),
        ({"ps": ["p"]}, ["cluster.ps", "host:port", "got p"]),
        ({"ps": ["p:"]}, ["cluster.ps", "got p:"]),
        ({"ps": ["p:0"]}, ["cluster.ps", "got p:0"]),
        ({"ps": ["p:65536"]}, ["cluster.ps", "got p:65536"]),
        ({"ps": ["::1:5"]}, ["cluster.ps", "got ::1:5"]),
        ({"ps": ["http://p:5"]}, ["cluster.ps", "got http://p:5"]),
        ({"worker": ["v:4", "v:4"]}, ["each address once", "v:4"]),
        ({"worker": ["p:1"]}, ["each address once", "p:1"]),
        ({"chief": ["c:3", "d:4"]}, ["one chief", "d:4"]),
        ({"master": ["d:4"]}, ["one chief", "d:4"]),
        ({"ps": []}, ["must have a ps", "c:3"]),
        ({"chief": [], "worker": []}, ["must have a chief", "p:1"]),
    ],
)
def test_invalid_cluster_is_refused(change: dict[str, Any], words: list[str]) -> None:
    config = {"cluster": {**FULL, **change}, "task": {"type": "ps", "index": 0}}
    message = error_for(json.dumps(config))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (None, ["task.type must be chief or worker or ps", "null"]),
        ("worker", ["task must be an object", "worker"]),
        ({"index": 0}, ["task.type", "null"]),
        ({"type": 3}, ["task.type", "3"]),
        ({"type": "master"}, ["task.type", "master"]),
        ({"type": "worker", "index": 2}, ["task.index", "below 2", "got 2"]),
        ({"type": "worker", "index": -1}, ["task.index", "below 2", "got -1"]),
        ({"type": "worker", "index": 0.0}, ["task.index", "integer"]),
        ({"type": "worker", "index": True}, ["task.index", "integer"]),
        ({"type": "worker", "index": "one"}, ["task.index", "integer", "one"]),
    ],
)
def test_invalid_task_is_refused(task: Any, words: list[str]) -> None:
    message = error_for(json.dumps({"cluster": FULL, "task": task}))
    assert all(word in message for word in words), message


def test_reading_does_not_import_tensorflow() -> None:
    code = (
        "import sys; "
        "from groovae.training.distributed.tf_config import from_environment; from_environment();"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
