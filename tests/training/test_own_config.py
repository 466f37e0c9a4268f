"""--config=FILE.py:NAME: five drum classes in 3/4, from training to playing without the file."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mido
import pytest
from conftest import Groovae, a_groove, assert_one_line, only_once, write_records

from groovae.config import config_map
from groovae.config.layout import BUILT_IN, LAYOUTS
from groovae.music.midi_writer import write_sequence

PITCHES = ((36,), (38, 40), (42,), (47, 50), (49,))
SOURCE = f"""
from groovae import CONFIG_MAP
from magenta.models.music_vae import configs, data, lstm_models
from magenta.models.music_vae.base_model import MusicVAE

def config(**converter):
    hparams = lstm_models.get_default_hparams()
    for name, value in dict(
        batch_size=4, max_seq_len=24, z_size=3, enc_rnn_size=[8], dec_rnn_size=[8], free_bits=0,
    ).items():
        hparams.set_hparam(name, value)
    converter = dict(
        split_bars=2, quarters_per_bar=3, steps_per_quarter=4, pitch_classes={PITCHES},
    ) | converter
    return configs.Config(
        model=MusicVAE(lstm_models.BidirectionalLstmEncoder(), lstm_models.GrooveLstmDecoder()),
        hparams=hparams, note_sequence_augmenter=None,
        data_converter=data.GrooveConverter(**converter),
        train_examples_path=None, eval_examples_path=None, tfds_name=None,
    )

waltz = config()
groovae_4bar = config()
binned = config(num_velocity_bins=8, num_offset_bins=8)
no_config = 5
CONFIG_MAP["unused"] = waltz
open("was_run", "w").close()
"""

pytestmark = pytest.mark.usefixtures("equal_batches")


@pytest.fixture(autouse=True)
def forget_own_configs() -> Iterator[None]:
    """Remove the configs that a test adds."""
    yield
    for known in (LAYOUTS, config_map.CONFIG_MAP):  # a file may add one to CONFIG_MAP alone
        for name in set(known) - BUILT_IN:
            known.pop(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The current folder of `in_process`, with configs and data."""
    (tmp_path / "mine.py").write_text(SOURCE)
    write_records(tmp_path / "waltz.tfrecord", a_waltz())
    write_sequence(tmp_path / "waltz.mid", a_waltz())
    return tmp_path


DATA = ("--examples_path=waltz.tfrecord", "--nofit_prior", "--train_dir=runs")


@pytest.fixture
def runs(in_process: Groovae, folder: Path, shared_folder: Path) -> Path:
    """The training folder of `waltz` after one step, in the current folder without its file.

    It is trained once, and the tests copy it.
    """
    trained = shared_folder / "own"
    with only_once(trained):
        if not trained.exists():
            result = ok(in_process("train", "--config=mine.py:waltz", *DATA, "--num_steps=1"))
            assert "groovae sample --checkpoint=runs" in result.stderr
            (folder / "runs").rename(trained)
    (folder / "mine.py").unlink()
    (folder / "was_run").unlink(missing_ok=True)
    for known in (LAYOUTS, config_map.CONFIG_MAP):
        known.pop("waltz", None)
    return Path(shutil.copytree(trained, folder / "runs"))


def a_waltz() -> Any:
    """12 bars in 3/4 with a hit of each class in each bar."""
    groove = a_groove(0, meters=[(0, 3, 4)], name="waltz.mid")
    for bar in range(12):
        for step, pitch in ((0, 36), (4, 38), (6, 42), (8, 47), (10, 49)):
            start = (12 * bar + step) * 0.125
            groove.notes.add(
                start_time=start, end_time=start + 0.1, pitch=pitch, velocity=90, is_drum=True
            )
    groove.total_time = 18.0
    return groove


def ok(result: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    assert result.returncode == 0, result.stderr
    return result


def pitches_of(path: Path) -> set[int]:
    return {message.note for message in mido.MidiFile(path) if message.type == "note_on"}


def test_own_config_is_counted(in_process: Groovae, folder: Path) -> None:
    info = ok(in_process("info", "waltz.tfrecord", "--config=mine.py:waltz", "--json"))
    assert json.loads(info.stdout)["windows"]["windows"] == 6


def test_own_config_is_trained_resumed_played_and_exported(in_process: Groovae, runs: Path) -> None:
    saved = json.loads((runs / "config.json").read_text())
    assert (saved["config"], saved["meter"]) == ("waltz", "3/4")
    assert saved["data_converter"]["pitch_classes"] == [list(drum) for drum in PITCHES]

    # Everything that follows works from the folder alone.
    ok(in_process("train", *DATA, "--num_steps=2"))
    assert Path("runs/model.ckpt-2.index").is_file()
    resumed = json.loads((runs / "config.json").read_text())
    for name in ("config", "meter", "drum_map", "data_converter"):
        assert resumed[name] == saved[name]
    play = ["--checkpoint=runs", "--seed=3", "--bars=3", "--temperature=2", "--png"]
    ok(in_process("sample", *play, "--out=a.mid"))
    assert pitches_of(Path("a.mid")) <= {36, 38, 42, 47, 49}
    assert len(pitches_of(Path("a.mid"))) > 1
    ok(in_process("evaluate", "--checkpoint=runs", "--examples_path=waltz.tfrecord"))
    pytest.importorskip("onnx")
    ok(in_process("export", "--checkpoint=runs", "--out=onnx"))
    ok(in_process("sample", "--checkpoint=onnx", *play[1:], "--out=c.mid"))
    assert Path("a.mid").read_bytes() == Path("c.mid").read_bytes()
    played = ok(in_process("reconstruct", "waltz.mid", "--checkpoint=onnx", "--out=b.mid"))
    assert "F1" in played.stderr
    gm = in_process("sample", "--checkpoint=onnx", "--drum_map=gm", "--out=d.mid")
    assert_one_line(gm, 2, "9 drum classes", "5")
    assert not Path("was_run").exists()


@pytest.mark.parametrize(
    ("config", "code", "words"),
    [
        ("none.py:waltz", 1, "none.py"),
        ("mine.py:nobody", 2, "'nobody'"),
        ("mine.py:no_config", 2, "'no_config'"),
        ("mine.py:groovae_4bar", 2, "another name"),
        ("mine.py:binned", 2, "num_velocity_bins"),
        ("broken.py:waltz", 1, "ZeroDivisionError"),
        ("nobody", 2, "FILE.py:NAME"),
    ],
)
def test_invalid_own_configs(
    in_process: Groovae, folder: Path, config: str, code: int, words: str
) -> None:
    Path("broken.py").write_text("1 / 0")
    assert_one_line(in_process("info", "waltz.tfrecord", f"--config={config}"), code, words)


def test_config_json_never_runs_a_file(in_process: Groovae, runs: Path) -> None:
    Path("mine.py").write_text(SOURCE)
    saved = json.loads(Path("runs/config.json").read_text())
    for change, words in (
        ({"config": "mine.py:waltz"}, "name of a config"),
        ({"data_converter": saved["data_converter"] | {"split_bars": 1 << 40}}, "split_bars"),
        ({"data_converter": saved["data_converter"] | {"pitch_classes": [[36]]}}, "pitch_classes"),
        ({"data_converter": {}}, "missing"),
        ({"data_converter": saved["data_converter"] | {"file": "mine.py"}}, "no argument 'file'"),
        ({"hparams": saved["hparams"] | {"code": "1"}}, "code"),
        ({"hparams": saved["hparams"] | {"z_size": 4}}, "z_size|encoder|decoder"),
        ({"meter": "4/4"}, "meter"),
    ):
        Path("runs/config.json").write_text(json.dumps(saved | change))
        result = in_process("sample", "--checkpoint=runs")
        assert result.returncode in (1, 2)
        assert re.search(words, result.stderr), result.stderr
        assert "Traceback" not in result.stderr
    assert not Path("was_run").exists()
