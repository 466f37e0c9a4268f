"""The demo writes grooves, resumes, and overwrites no other files."""

from pathlib import Path

import mido
import pytest
from conftest import Groovae, assert_one_line

from groovae import demo


def test_the_demo_writes_grooves_overwrites_no_dataset_and_resumes(
    in_process: Groovae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Magenta's graph has operations for each window of a batch.
    monkeypatch.setattr(demo, "HPARAMS", demo.HPARAMS.replace("batch_size=32", "batch_size=8"))
    others = [tmp_path / "demo" / name for name in ("groove/info.csv", "music.tfrecord")]
    (tmp_path / "demo" / "groove").mkdir(parents=True)
    for other in others:
        other.write_text("mine")
    first = in_process("demo", "--num_steps=5", "--dir=demo")
    assert first.returncode == 0, first.stderr
    files = first.stdout.split()
    assert files == [f"demo/demo_groove-0{i}.mid" for i in (1, 2, 3, 4)]
    for file in files:
        assert any(message.type == "note_on" for message in mido.MidiFile(tmp_path / file))
    for next_step in (
        "groovae preprocess ../groove data_dir/music.tfrecord",
        "groovae train --num_steps=50000",
        "groovae sample --temperature=0.5 --out=drum_4bar.mid",
    ):
        assert f"  {next_step}\n" in first.stderr
    before = (tmp_path / files[0]).read_bytes()
    (tmp_path / files[1]).unlink()
    (tmp_path / files[1]).symlink_to(others[0])
    second = in_process("demo", "--num_steps=5", "--dir=demo")
    assert second.returncode == 0, second.stderr
    assert "step 5" in second.stderr
    assert "step 1/5" not in second.stderr
    assert (tmp_path / files[0]).read_bytes() == before
    assert not (tmp_path / files[1]).is_symlink()
    assert [other.read_text() for other in others] == ["mine", "mine"]


@pytest.mark.parametrize("name", ["demo_midi", "demo_midi/drummer1", "demo_train"])
def test_a_linked_subfolder_is_refused(in_process: Groovae, tmp_path: Path, name: str) -> None:
    (tmp_path / "other").mkdir()
    link = tmp_path / "demo" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "other")
    assert_one_line(in_process("demo", "--dir=demo"), 1, name, "link")
    assert not any((tmp_path / "other").iterdir())


def test_a_folder_that_cannot_be_made_is_one_line(in_process: Groovae, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert_one_line(in_process("demo", "--dir=file"), 1, "file")
