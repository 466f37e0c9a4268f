"""Only files that TensorFlow makes are listed as those of a checkpoint, and removed."""

from pathlib import Path

import pytest

from groovae.system.checkpoint_files import checkpoint_files, prefixes, remove_checkpoint

COMPLETE = ["model.ckpt-1.data-00000-of-00001", "model.ckpt-1.meta", "model.ckpt-1.index"]
UNFINISHED = [
    "model.ckpt-1.index.tempstate123",
    "model.ckpt-1.data-00000-of-00001.tempstate9",
    f"model.ckpt-1.meta.tmp{'0a' * 16}",
    "model.ckpt-1_temp/part-00000-of-00001.index",
    "model.ckpt-1_temp/part-00000-of-00001.data-00000-of-00001.tempstate7",
]
OWN = [
    "model.ckpt-1",
    "model.ckpt-1.tar",
    "model.ckpt-1.txt",
    "model.ckpt-1.index.old",
    "model.ckpt-1.data-00000-of-00001.bak",
    "model.ckpt-1_best.mid",
    "model.ckpt-1.backup/model.ckpt-1.index",
    "model.ckpt-1-export/decoder.onnx",
    "model.ckpt-10.index",
    "model.ckpt-1 (copy).index",
]


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(str(path.relative_to(folder)) for path in paths)


def test_own_files_beside_a_checkpoint_are_kept(tmp_path: Path) -> None:
    make(tmp_path, *COMPLETE, *UNFINISHED, *OWN)
    remove_checkpoint(tmp_path / "model.ckpt-1")
    assert files(tmp_path) == sorted(OWN)
    assert not (tmp_path / "model.ckpt-1_temp").exists()


def test_own_files_in_the_temporary_folder_are_kept(tmp_path: Path) -> None:
    make(tmp_path, *UNFINISHED, "model.ckpt-1_temp/mine.txt")
    remove_checkpoint(tmp_path / "model.ckpt-1")
    assert files(tmp_path) == ["model.ckpt-1_temp/mine.txt"]


def test_links_and_folders_are_kept(tmp_path: Path) -> None:
    make(tmp_path, "there/part-00000-of-00001.index", "model.ckpt-1.index/mine")
    (tmp_path / "model.ckpt-1.meta").symlink_to("there")
    (tmp_path / "model.ckpt-1_temp").symlink_to("there")
    before = files(tmp_path)
    remove_checkpoint(tmp_path / "model.ckpt-1")
    assert files(tmp_path) == before
    assert checkpoint_files(tmp_path / "model.ckpt-1") == []


def test_the_index_is_the_last_file(tmp_path: Path) -> None:
    make(tmp_path, *COMPLETE, *UNFINISHED, *OWN)
    listed = [path.name for path in checkpoint_files(tmp_path / "model.ckpt-1")]
    assert listed == COMPLETE


@pytest.mark.parametrize("name", [*COMPLETE, *UNFINISHED])
def test_prefixes_of_checkpoints_in_a_folder(tmp_path: Path, name: str) -> None:
    make(tmp_path, name, *(own for own in OWN if own != "model.ckpt-10.index"))
    assert prefixes(tmp_path) == {"model.ckpt-1"}
    assert prefixes(tmp_path / "nowhere") == set()
