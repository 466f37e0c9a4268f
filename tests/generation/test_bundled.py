"""The model that comes with groovae: it plays at once, gives way to one's own, and is what its card
says."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Groovae, a_groove, assert_one_line
from without_tensorflow import OFFLINE, run_blocked

import groovae
from groovae.errors import GroovaeError
from groovae.generation.bundled import FOLDER
from groovae.metrics import scores
from groovae.music.midi_writer import write_sequence


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def said() -> list[str]:
    return []


def test_it_plays_without_training_network_or_tensorflow(empty: Path) -> None:
    played = run_blocked(OFFLINE, "sample", "--temperature=0.5", "--out=drum_4bar.mid", "--seed=1")
    assert played.returncode == 0, played.stderr
    assert played.stdout == "drum_4bar.mid\n"
    assert "the one that comes with groovae" in played.stderr
    assert "Groove MIDI Dataset by Google LLC (CC BY 4.0)" in played.stderr
    assert "`groovae train`" in played.stderr
    hits = groovae.read_sequence(empty / "drum_4bar.mid").notes
    assert {36, 38} < {hit.pitch for hit in hits}
    assert len(hits) > 30


def test_all_that_plays_whole_grooves_takes_it(empty: Path, groovae: Groovae) -> None:
    write_sequence(empty / "take.mid", a_groove(bars=4))
    for command in ("reconstruct", "vary"):
        played = groovae(command, "take.mid", "--nopreview")
        assert played.returncode == 0, played.stderr
        assert str(FOLDER) in played.stderr
    played = groovae("interpolate", "take.mid", "take.mid", "--nopreview")
    assert played.returncode == 0, played.stderr


def test_other_tasks_say_how_to_get_a_model(empty: Path, groovae: Groovae) -> None:
    write_sequence(empty / "take.mid", a_groove(bars=4))
    assert_one_line(
        groovae("humanize", "take.mid"), 1, ".train: no such checkpoint", "configs/humanize.flags"
    )


def test_it_is_not_taken_where_another_was_named(empty: Path, groovae: Groovae) -> None:
    for named in (".train", "runs/finish/best"):
        assert_one_line(groovae("sample", f"--checkpoint={named}"), 1, f"{named}: no such")


def test_ones_own_training_wins(empty: Path, trained: Path, said: list[str]) -> None:
    shutil.copytree(trained, ".train")
    assert Path(groovae.load_model(log=said.append).checkpoint).parent == Path(".train")
    assert not said


def test_ones_own_export_wins(empty: Path, said: list[str]) -> None:
    shutil.copytree(FOLDER, ".train")
    assert groovae.load_model(log=said.append).checkpoint == ".train"
    assert not said


@pytest.mark.parametrize(
    "file",
    [
        *(".train", ".train/model.ckpt-7.index", ".train/model.ckpt-7.data-00000-of-00001"),
        *(".train/checkpoint", ".train/best/checkpoint", ".train/decoder.onnx"),
    ],
)
def test_ones_own_model_is_not_passed_over_for_being_damaged(
    empty: Path, said: list[str], file: str
) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("?")
    with pytest.raises(GroovaeError, match=r"\.train"):
        groovae.load_model(log=said.append).sample()
    assert not said


def test_ones_own_model_is_not_passed_over_for_being_out_of_reach(
    empty: Path, said: list[str]
) -> None:
    Path(".train").symlink_to("/nonexistent/drive")
    with pytest.raises(GroovaeError, match=r"\.train"):
        groovae.load_model(log=said.append)
    assert not said


def test_a_training_that_has_saved_nothing_is_none(empty: Path, said: list[str]) -> None:
    Path(".train").mkdir()
    Path(".train/config.json").write_text("{}")
    assert groovae.load_model(log=said.append).checkpoint == str(FOLDER)
    assert len(said) == 1


def test_it_is_under_6_mb() -> None:
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 6e6


def test_its_card_tells_its_scores(gmd: Path, tmp_path: Path) -> None:
    from groovae.config import config_map
    from groovae.data.preprocess import PreprocessOptions, convert_directory
    from groovae.data.source import DataSource

    convert_directory(gmd, tmp_path / "test.tfrecord", options=PreprocessOptions(split="test"))
    data = DataSource(str(tmp_path / "test.tfrecord"))
    windows = data.load(config_map.CONFIG_MAP["groovae_4bar"], tmp_path, lambda line: None)
    reference = windows.outputs(np.arange(len(windows)))
    assert len(reference) == 526
    tempo_qpm = np.array([windows.source(i).tempo_qpm for i in range(len(windows))])
    told = re.findall(
        r"^\| (hit F1|timing error, ms|velocity error, of 127) \| ([\d.]+) .*?\| ([\d.]+) ",
        (FOLDER / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    for column, as_hits in ((1, False), (2, True)):
        model = groovae.load_model(FOLDER, batch_size=128, as_hits=as_hits)
        estimate, _, _ = model.predict_windows(reference)
        values = scores.scores(scores.tally(reference, estimate, tempo_qpm))
        found = [values[name] for name in ("hit_f1", "timing_mae_ms", "velocity_mae")]
        digits = (3, 1, 1)
        assert [f"{one:.{n}f}" for one, n in zip(found, digits, strict=True)] == [
            row[column] for row in told
        ]
