"""Tests of groovae.data.window_cache: contents, validation, atomic writes and sharing."""

import json
import multiprocessing
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Groovae, a_groove, file_size_limit, write_records

from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.data import records, window_cache
from groovae.data.grid import count_windows
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import to_windows
from groovae.errors import GroovaeError

FOUR_BARS = config_map.layout("groovae_4bar")
EVERY_BAR = config_map.layout("groovae_4bar", hop_bars=1)

_fork = multiprocessing.get_context("fork")


def load(path: Path, layout: Layout = FOUR_BARS, **options: Any) -> tuple[CachedWindows, list[str]]:
    lines: list[str] = []
    windows = window_cache.load(
        records.find(path), layout, path.parent / "train", lines.append, **options
    )
    return windows, lines


def caches(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.windows-*.npy"))


@pytest.fixture
def mixed_records(tmp_path: Path) -> Path:
    """A TFRecord of grooves of 0 to 11 bars, and others without windows."""
    grooves = [a_groove(bars, name=f"{bars}.mid") for bars in range(12)]
    others = [a_groove(meters=[(0, 3, 4)]), a_groove(is_drum=False), a_groove(pitch=39)]
    return write_records(tmp_path / "some.tfrecord", *grooves, *others)


@pytest.mark.parametrize(
    "layout", [FOUR_BARS, EVERY_BAR, config_map.layout("groovae_2bar_humanize")]
)
def test_windows_and_sources_equal_those_of_sequences(mixed_records: Path, layout: Layout) -> None:
    expected = [to_windows(sequence, layout) for sequence in records.find(mixed_records)]
    for _ in range(2):  # made, then cached
        windows, _ = load(mixed_records, layout)
        outputs = windows.outputs(np.arange(len(windows)))
        np.testing.assert_array_equal(outputs, np.concatenate([w.outputs for w in expected]))
        sources = [windows.source(i) for i in range(len(windows))]
        assert sources == [source for w in expected for source in w.sources]
    shuffled = np.random.RandomState(1).permutation(len(windows))
    np.testing.assert_array_equal(windows.outputs(shuffled), outputs[shuffled])


def test_cache_is_used(mixed_records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, lines = load(mixed_records)
    assert len(lines) == 1
    assert len(caches(mixed_records.parent)) == 1
    monkeypatch.delattr(records, "ordered_map")  # needed to convert
    second, lines = load(mixed_records)
    assert not lines
    assert second.report == first.report


def test_numpy_loads_the_file(mixed_records: Path) -> None:
    windows, _ = load(mixed_records, EVERY_BAR)
    grids = np.load(caches(mixed_records.parent)[0])
    np.testing.assert_array_equal(grids[:64], windows.outputs(np.array([0]))[0])


def test_number_of_workers_does_not_matter(tmp_path: Path) -> None:
    path = write_records(
        tmp_path / "a.tfrecord", *(a_groove(i % 9, name=f"{i}") for i in range(300))
    )
    found = set()
    for workers in (1, 2, 5):
        load(path, workers=workers)
        (file,) = caches(tmp_path)
        found.add(file.read_bytes())
        file.unlink()
    assert len(found) == 1


def test_layouts_with_the_same_grid_share_a_file(mixed_records: Path) -> None:
    for name in ("humanize", "tap_fixed_velocity", "add_closed_hh"):
        load(mixed_records, config_map.layout(f"groovae_2bar_{name}"))
    assert len(caches(mixed_records.parent)) == 1
    for layout in (
        FOUR_BARS,
        EVERY_BAR,
        config_map.layout("groovae_4bar", unmapped_pitches="nearest"),
        config_map.layout("groovae_4bar", all_notes=True),
    ):
        load(mixed_records, layout)
    assert len(caches(mixed_records.parent)) == 5


def test_unmapped_pitches_are_applied(mixed_records: Path) -> None:
    nearest = config_map.layout("groovae_4bar", unmapped_pitches="nearest")
    assert len(load(mixed_records, nearest)[0]) == len(load(mixed_records)[0]) + 1
    with pytest.raises(GroovaeError, match="39"):
        load(mixed_records, config_map.layout("groovae_4bar", unmapped_pitches="error"))


def test_changed_records_replace_the_file(mixed_records: Path) -> None:
    load(mixed_records)
    write_records(mixed_records, a_groove(8))
    windows, lines = load(mixed_records)
    assert len(windows) == 2
    assert len(lines) == 1
    assert len(caches(mixed_records.parent)) == 1


def test_other_version_replaces_the_file(
    mixed_records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(mixed_records)
    monkeypatch.setattr(window_cache, "__version__", "99")
    assert len(load(mixed_records)[1]) == 1
    assert load(mixed_records)[1] == []


def test_damaged_file_is_replaced(mixed_records: Path) -> None:
    windows, _ = load(mixed_records)
    everything = np.arange(len(windows))
    expected = windows.outputs(everything)
    del windows  # a mapped file must not shrink
    file = caches(mixed_records.parent)[0]
    whole = file.read_bytes()
    places = [0, 7, 60, 129, len(whole) // 2, len(whole) - 400, len(whole) - 33, len(whole) - 1]
    damaged = [whole[:place] for place in places] + [whole + b"x"]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
    for content in damaged:
        file.write_bytes(content)
        windows, lines = load(mixed_records)
        assert "damaged" in lines[0]
        assert file.read_bytes() == whole
        np.testing.assert_array_equal(windows.outputs(everything), expected)
        del windows


def test_link_in_the_place_of_the_file_is_replaced(mixed_records: Path, tmp_path: Path) -> None:
    load(mixed_records)
    (path,) = caches(tmp_path)
    (tmp_path / "mine").write_text("mine")
    for target in ("mine", "missing"):
        path.unlink()
        path.symlink_to(tmp_path / target)
        load(mixed_records)
        assert not path.is_symlink()
    assert (tmp_path / "mine").read_text() == "mine"
    assert not (tmp_path / "missing").exists()


def test_records_without_windows_have_a_report(tmp_path: Path) -> None:
    path = write_records(tmp_path / "none.tfrecord", a_groove(1), a_groove(is_drum=False))
    for _ in range(2):
        windows, _ = load(path)
        assert len(windows) == 0
        assert windows.report.unused == {"shorter than 4 bars": 1, "without drum notes": 1}
    empty = write_records(tmp_path / "empty.tfrecord")
    assert load(empty)[0].report.sequences == 0


def test_hours_of_silence(tmp_path: Path) -> None:
    grooves = []
    for i in range(32):
        sequence = a_groove(1, name=f"{i}.mid")
        sequence.notes.add(start_time=10_000 + i, end_time=10_100, pitch=36, is_drum=True)
        grooves.append(sequence)
    windows, _ = load(write_records(tmp_path / "long.tfrecord", *grooves), workers=1)
    for number in (0, 15, 31):
        expected = to_windows(grooves[number], FOUR_BARS).outputs
        first = sum(count_windows(groove, FOUR_BARS).windows for groove in grooves[:number])
        found = windows.outputs(np.arange(first, first + len(expected)))
        np.testing.assert_array_equal(found, expected)


def test_keep_false_leaves_no_file(mixed_records: Path) -> None:
    expected, _ = load(mixed_records)
    caches(mixed_records.parent)[0].unlink()
    windows, _ = load(mixed_records, keep=False)
    assert list((mixed_records.parent / "train").iterdir()) == []
    assert caches(mixed_records.parent) == []
    everything = np.arange(len(windows))
    np.testing.assert_array_equal(windows.outputs(everything), expected.outputs(everything))


def test_read_only_folder_uses_fallback_dir(
    mixed_records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Root may write everywhere.
    monkeypatch.setattr(window_cache.os, "access", lambda path, mode: False)
    assert len(load(mixed_records)[1]) == 1
    assert [path.parent.name for path in caches(mixed_records.parent)] == ["train"]
    assert load(mixed_records)[1] == []


def test_full_disk_raises_and_leaves_nothing(mixed_records: Path) -> None:
    with (
        file_size_limit(10_000),
        pytest.raises(GroovaeError, match=r"cannot write .*windows-\w+\.npy: File too large"),
    ):
        load(mixed_records)
    assert [path.name for path in mixed_records.parent.iterdir()] == ["some.tfrecord"]


@pytest.fixture(scope="module")
def slow_records(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """Records whose windows take a while to make, and the expected file."""
    groove = a_groove(50)
    path = write_records(tmp_path_factory.mktemp("slow") / "many.tfrecord", *[groove] * 150)
    load(path)
    return path.read_bytes(), caches(path.parent)[0].read_bytes()


def start(path: Path) -> Any:
    process = _fork.Process(target=load, args=(path,))
    process.start()
    return process


def test_kill_9_leaves_no_file_or_a_complete_one(
    slow_records: tuple[bytes, bytes], tmp_path: Path
) -> None:
    path, right = tmp_path / "many.tfrecord", slow_records[1]
    path.write_bytes(slow_records[0])
    began = time.monotonic()
    start(path).join()
    seconds = time.monotonic() - began
    file, before = caches(tmp_path)[0], set(os.listdir(tmp_path))
    chance, outcomes = random.Random(1), []
    for _ in range(6):
        file.unlink(missing_ok=True)
        process = start(path)
        time.sleep(chance.uniform(0, 1.3 * seconds))
        process.kill()
        process.join()
        outcomes.append(file.exists())
        assert not file.exists() or file.read_bytes() == right
        load(path)
        assert file.read_bytes() == right
    assert True in outcomes
    assert False in outcomes
    deadline = time.monotonic() + 60
    while set(os.listdir(tmp_path)) != before:  # workers may still be ending
        assert time.monotonic() < deadline, "a temporary file is left"
        file.unlink()
        load(path)


def test_kill_9_leaves_old_or_new_file(slow_records: tuple[bytes, bytes], tmp_path: Path) -> None:
    path, (new_records, right) = tmp_path / "many.tfrecord", slow_records
    old_records = write_records(tmp_path / "old.tfrecord", a_groove(8)).read_bytes()
    chance = random.Random(2)
    for _ in range(6):
        path.write_bytes(old_records)
        load(path)
        (file,) = caches(tmp_path)
        old = file.read_bytes()
        path.write_bytes(new_records)
        process = start(path)
        time.sleep(chance.uniform(0, 0.6))
        process.kill()
        process.join()
        assert file.read_bytes() in (old, right)


def test_concurrent_processes(slow_records: tuple[bytes, bytes], tmp_path: Path) -> None:
    path, right = tmp_path / "many.tfrecord", slow_records[1]
    path.write_bytes(slow_records[0])
    processes = [start(path) for _ in range(4)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert caches(tmp_path)[0].read_bytes() == right
    assert not list(tmp_path.glob(".*.tmp"))


def test_info_shows_window_report(in_process: Groovae, mixed_records: Path) -> None:
    result = in_process("info", mixed_records, "--json", "--unmapped_pitches=nearest")
    assert result.returncode == 0, result.stderr
    about = json.loads(result.stdout)
    windows, _ = load(mixed_records, config_map.layout("groovae_4bar", unmapped_pitches="nearest"))
    assert about["windows"] == windows.report.as_dict()
    assert (about["config"], about["files"]) == ("groovae_4bar", [str(mixed_records)])
    shown = in_process("info", mixed_records).stdout
    assert "12 windows from 8 of 15 sequences" in shown
    assert "left out: no drum class holds pitch 39 (hand clap) 32 times" in shown
