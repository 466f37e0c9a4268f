"""Pipes, devices and very large files are refused, and deeply nested JSON, without waiting."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Groovae, assert_one_line

from groovae.config import config_map
from groovae.data import records, tfrecord
from groovae.errors import GroovaeError
from groovae.model.checkpoints import check_readable, find_checkpoint, variable_shapes
from groovae.model.checksums import read_verified
from groovae.model.formats import is_web_export
from groovae.model.onnx_network import read_export
from groovae.music.drums import read_drum_map
from groovae.music.sound import check_ready
from groovae.system.regular_files import parse_json, read_json, read_regular
from groovae.training.metrics_csv import MetricsLog
from groovae.training.validation import read_best

# What reads a file in a folder, by the name of the file.
READERS: dict[str, Callable[[Path], object]] = {
    "config.json": config_map.read_config,
    "export/config.json": lambda folder: read_export(folder / "export"),
    "checkpoint": find_checkpoint,
    "metrics.csv": lambda folder: MetricsLog(folder / "metrics.csv"),
    "best/evaluation.json": read_best,
    "decoder.onnx": lambda folder: read_verified(folder / "decoder.onnx", {}),
    "a.tfrecord": lambda folder: list(tfrecord.read_records(folder / "a.tfrecord")),
    "b.tfrecord": lambda folder: records.find(folder / "b.tfrecord").digest(),
    "model.ckpt-1.index": lambda folder: variable_shapes(str(folder / "model.ckpt-1")),
    "m-1.data-00000-of-00001": lambda folder: check_readable(str(folder / "m-1")),
}


def put(kind: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with open(path, "wb") as file:
            file.truncate(1 << 40)  # takes no space


@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize("name", READERS)
def test_pipes_and_devices_are_refused(tmp_path: Path, name: str, kind: str) -> None:
    put(kind, tmp_path / name)
    with pytest.raises((GroovaeError, OSError), match="not a regular file") as raised:
        READERS[name](tmp_path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(("json", "csv"))])
def test_very_large_files_are_refused(tmp_path: Path, name: str) -> None:
    put("large", tmp_path / name)
    with pytest.raises(GroovaeError, match=r"larger than 16,777,216 bytes"):
        READERS[name](tmp_path)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith("json")])
def test_deeply_nested_json_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises(GroovaeError, match="nested too deeply"):
        READERS[name](tmp_path)
    assert not is_web_export(tmp_path)


def test_links_to_regular_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("[1]")
    (tmp_path / "here.json").symlink_to("there.json")
    assert read_json(tmp_path / "here.json") == [1]
    assert read_regular(tmp_path / "here.json", 3) == b"[1]"
    with pytest.raises(OSError, match="larger than 2 bytes"):
        read_regular(tmp_path / "here.json", 2)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)


def test_user_named_files_end(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match="larger than"):
        read_drum_map("/dev/zero")
    pytest.importorskip("tinysoundfont")
    put("pipe", tmp_path / "x.sf2")
    with pytest.raises(GroovaeError, match="not a regular file"):
        check_ready(tmp_path / "x.sf2")


def test_checkpoint_file_that_is_not_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_bytes(b"\xff\xfe")
    with pytest.raises(GroovaeError, match=r"checkpoint: .*remove it"):
        find_checkpoint(tmp_path)


def test_pipe_in_a_folder_of_music_is_skipped(in_process: Groovae, tmp_path: Path) -> None:
    put("pipe", tmp_path / "pipe.mid")
    put("device", tmp_path / "device.mid")
    result = in_process("reconstruct", ".", "--out=out")
    assert result.returncode == 1
    assert "0 of 2 files" in result.stderr
    assert_one_line(in_process("reconstruct", "pipe.mid"), 1, "pipe.mid: ")


def test_chain_of_flag_files_is_a_usage_error(in_process: Groovae, tmp_path: Path) -> None:
    for i in range(2000):
        Path(f"{i}.flags").write_text(f"--flagfile={i + 1}.flags\n")
    Path("2000.flags").touch()
    assert_one_line(in_process("sample", "--flagfile=0.flags"), 2, "flag file")
