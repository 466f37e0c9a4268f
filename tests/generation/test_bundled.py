"""The bundled model: used by default, own models take precedence, scores as on its model card."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import Groovae, a_groove, assert_one_line
from without_tensorflow import OFFLINE, run_blocked

import groovae
from groovae.errors import GroovaeError
from groovae.generation.bundled import DETAILED_FOLDER, FOLDER, TASK_FOLDERS
from groovae.metrics import scores
from groovae.music.midi_writer import write_sequence


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, which saves the import of TensorFlow."""
    return in_process


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, as the current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def lines() -> list[str]:
    return []


def test_samples_without_training_network_or_tensorflow(empty: Path) -> None:
    played = run_blocked(OFFLINE, "sample", "--temperature=0.5", "--out=drum_4bar.mid", "--seed=1")
    assert played.returncode == 0, played.stderr
    assert played.stdout == "drum_4bar.mid\n"
    first, second, *_ = played.stderr.splitlines()
    assert "no model in .train" in first
    assert "the bundled one" in first
    assert re.fullmatch(r"groovae_4bar from .*, seed 1", second)
    hits = groovae.read_sequence(empty / "drum_4bar.mid").notes
    assert {36, 38} < {hit.pitch for hit in hits}
    assert len(hits) > 30


def test_whole_groove_commands_use_the_bundled_model(empty: Path, groovae: Groovae) -> None:
    write_sequence(empty / "take.mid", a_groove(bars=4))
    for command, folder in (("reconstruct", DETAILED_FOLDER), ("vary", FOLDER)):
        played = groovae(command, "take.mid", "--nopreview")
        assert played.returncode == 0, played.stderr
        assert f"{folder}," in played.stderr
    played = groovae("interpolate", "take.mid", "take.mid", "--nopreview")
    assert played.returncode == 0, played.stderr
    assert f"{DETAILED_FOLDER}," in played.stderr


def test_info_lists_the_styles_of_a_bundled_model(empty: Path, groovae: Groovae) -> None:
    about = json.loads(groovae("info", FOLDER.name, "--json").stdout)
    assert about["config"] == FOLDER.name
    assert {"funk", "jazz", "rock"} < set(about["prior"]["styles"])


@pytest.mark.parametrize("task", TASK_FOLDERS)
def test_every_task_has_a_bundled_model(task: str, empty: Path, lines: list[str]) -> None:
    take = a_groove(bars=3)
    model = groovae.load_model(task=task, log=lines.append, seed=1)
    assert (model.checkpoint, len(lines)) == (str(TASK_FOLDERS[task]), 1)
    played = model.transfer(take, take) if task == "transfer" else getattr(model, task)(take)
    assert len(played.notes) > 8
    assert len({note.velocity for note in played.notes}) > 4


def test_humanize_uses_a_bundled_model_of_its_own(empty: Path, lines: list[str]) -> None:
    take = a_groove(bars=3)
    model = groovae.load_model(task="humanize", log=lines.append, seed=1)
    assert (model.checkpoint, len(lines)) == (str(TASK_FOLDERS["humanize"]), 1)
    played = model.humanize(take, temperature=0)
    assert [note.pitch for note in played.notes] == [note.pitch for note in take.notes]
    assert len({note.velocity for note in played.notes}) > 4
    shutil.copytree(FOLDER, ".train")  # a model of whole grooves
    again = groovae.load_model(task="humanize", log=lines.append, seed=1)
    assert again.humanize(take, temperature=0) == played
    shutil.rmtree(".train")
    shutil.copytree(TASK_FOLDERS["humanize"], ".train")
    assert groovae.load_model(task="humanize").checkpoint == ".train"


def test_own_damaged_model_for_humanize_is_an_error(empty: Path) -> None:
    Path(".train").mkdir()
    Path(".train/model.ckpt-7.index").write_text("?")
    with pytest.raises(GroovaeError, match=r"\.train"):
        groovae.load_model(task="humanize")


def test_bundled_model_does_not_replace_a_missing_checkpoint(empty: Path, groovae: Groovae) -> None:
    for named in (".train", "runs/finish/best"):
        assert_one_line(groovae("sample", f"--checkpoint={named}"), 1, f"{named}: no such")


def test_own_training_takes_precedence(empty: Path, trained: Path, lines: list[str]) -> None:
    shutil.copytree(trained, ".train")
    assert Path(groovae.load_model(log=lines.append).checkpoint).parent == Path(".train")
    assert "bundled" not in "".join(lines)


def test_own_export_takes_precedence(empty: Path, lines: list[str]) -> None:
    shutil.copytree(FOLDER, ".train")
    assert groovae.load_model(log=lines.append).checkpoint == ".train"
    assert not lines


@pytest.mark.parametrize(
    "file",
    [
        *(".train", ".train/model.ckpt-7.index", ".train/model.ckpt-7.data-00000-of-00001"),
        *(".train/checkpoint", ".train/best/checkpoint", ".train/decoder.onnx"),
    ],
)
def test_own_damaged_model_is_an_error(empty: Path, lines: list[str], file: str) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("?")
    with pytest.raises(GroovaeError, match=r"\.train"):
        groovae.load_model(log=lines.append).sample()
    assert not lines


def test_own_model_on_an_unmounted_drive_is_an_error(empty: Path, lines: list[str]) -> None:
    Path(".train").symlink_to("/nonexistent/drive")
    with pytest.raises(GroovaeError, match=r"\.train"):
        groovae.load_model(log=lines.append)
    assert not lines


def test_training_folder_without_checkpoint_is_ignored(empty: Path, lines: list[str]) -> None:
    Path(".train").mkdir()
    Path(".train/config.json").write_text("{}")
    assert groovae.load_model(log=lines.append).checkpoint == str(FOLDER)
    assert len(lines) == 1


def test_sizes_are_under_6_mb() -> None:
    sizes = [
        sum(file.stat().st_size for file in folder.iterdir())
        for folder in (FOLDER, DETAILED_FOLDER, *TASK_FOLDERS.values())
    ]
    assert max(sizes) < 6e6
    assert sum(sizes) < 25e6


@pytest.mark.parametrize("folder", [FOLDER, DETAILED_FOLDER])
def test_model_card_has_its_scores(folder: Path, gmd_test_records: Path, tmp_path: Path) -> None:
    from groovae.config import config_map
    from groovae.data.source import DataSource

    data = DataSource(str(gmd_test_records))
    windows = data.load(config_map.layout(folder.name), tmp_path, lambda line: None)
    reference = windows.outputs(np.arange(len(windows)))
    assert len(reference) == {"groovae_4bar": 526, "groovae_2bar": 1074}[folder.name]
    tempo_qpm = windows.tempos_qpm(np.arange(len(windows)))
    card = re.findall(
        r"^\| (hit F1|timing error, ms|velocity error, of 127) \| ([\d.]+) .*?\| ([\d.]+) ",
        (folder / "README.md").read_text("utf-8"),
        re.MULTILINE,
    )
    columns = ((1, False), (2, True)) if folder == FOLDER else ((1, True),)
    for column, as_hits in columns:
        model = groovae.load_model(folder, batch_size=128, as_hits=as_hits)
        estimate, _, _ = model.predict_windows(reference)
        values = scores.summarize(scores.tally(reference, estimate, tempo_qpm))
        found = [values[name] for name in ("hit_f1", "timing_mae_ms", "velocity_mae")]
        rounded = [f"{value:.{n}f}" for value, n in zip(found, (3, 1, 1), strict=True)]
        assert rounded == [row[column] for row in card]
