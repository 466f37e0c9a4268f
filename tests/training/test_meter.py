"""Training on other meters, tempo maps and drum maps, and what its checkpoints do elsewhere."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from conftest import (
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    only_once,
    write_records,
)
from web_export import random_checkpoint

from groovae import report
from groovae.config import config_map
from groovae.data.conversion import read_sequence
from groovae.data.grid import count_windows
from groovae.data.source import DataSource
from groovae.errors import GroovaeError, UsageError
from groovae.evaluation.study import evaluate_model
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.music.drums import read_drum_map
from groovae.music.midi_writer import write_sequence
from groovae.report import encoding
from groovae.training.train import TrainOptions, train

# Pitches that no class of General MIDI has.
KIT = {"kick": [101, 100], "snare": 102, "closed hi-hat": 103}
OWN_PITCHES = (101, 102, 103)
BEAT_STEPS = ((0, 101), (4, 102), (8, 102), (2, 103), (6, 103), (10, 103))

pytestmark = pytest.mark.usefixtures("equal_batches")


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, which saves the import of TensorFlow."""
    return in_process


def a_waltz(bars: int = 16, meter: tuple[int, int] = (3, 4), **more: Any) -> Any:
    """A groove of bars of three quarters at 120 qpm, with the pitches of KIT."""
    groove = a_groove(0, meters=[(0, *meter)], **more)
    for bar in range(bars):
        for number, (step, pitch) in enumerate(BEAT_STEPS):
            start = (12 * bar + step) * 0.125 + 0.01 * (number % 2)
            groove.notes.add(
                start_time=start, end_time=start + 0.1, pitch=pitch, velocity=90, is_drum=True
            )
    groove.total_time = bars * 1.5
    return groove


@pytest.fixture(scope="module")
def kit(shared_folder: Path) -> Path:
    """The drum map of KIT."""
    path = shared_folder / "kit.json"
    path.write_text(json.dumps(KIT))
    return path


@pytest.fixture(scope="module")
def waltzes(shared_folder: Path) -> Path:
    """A TFRecord of two waltzes: 8 windows of 4 bars; and one in 4/4, which gives none."""
    grooves = [a_waltz(name="a.mid"), a_waltz(name="b.mid"), a_waltz(meter=(4, 4), name="c.mid")]
    return write_records(shared_folder / "waltzes.tfrecord", *grooves)


@pytest.fixture(scope="module")
def waltz(trained: Path, waltzes: Path, kit: Path, shared_folder: Path) -> Path:
    """The training folder of a tiny model of waltzes on KIT; do not change it.

    It starts from the weights of a model in 4/4.
    """
    train_dir = shared_folder / "waltz"
    more = {"meter": "3/4", "drum_map": str(kit), "init_checkpoint": str(trained)}
    with only_once(train_dir):
        if not (train_dir / "model.ckpt-2.index").exists():
            assert train(options(train_dir, waltzes, num_steps=2, **more)).step == 2
    return train_dir


@pytest.fixture(scope="module")
def exported_waltz(waltz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX export of `waltz`; do not change it."""
    pytest.importorskip("onnx")
    from groovae.export.onnx import export

    out = tmp_path_factory.mktemp("waltz") / "onnx"
    export(waltz, out)
    return out


@pytest.fixture(scope="module")
def model(trained: Path) -> GrooveModel:
    """A model in 4/4."""
    return load_model(trained)


def options(train_dir: Path, records: Path, **more: Any) -> TrainOptions:
    return TrainOptions(str(train_dir), str(records), hparams=TINY_HPARAMS, seed=1, **more)


def config_of(train_dir: Path) -> dict[str, Any]:
    return json.loads((train_dir / "config.json").read_text())


def no_sound(soundfont: Any = None) -> None:
    raise GroovaeError("no sound")


def time_signatures(path: Path) -> list[tuple[int, int]]:
    messages = [message for track in mido.MidiFile(path).tracks for message in track]
    return [(m.numerator, m.denominator) for m in messages if m.type == "time_signature"]


# Meter


@pytest.mark.parametrize("meter", ["7/8", "3", "3/5", "0/4", "three"])
def test_meters_that_do_not_fit_are_one_line(groovae: Groovae, meter: str) -> None:
    assert_one_line(groovae("train", f"--meter={meter}"), 2, "meter", meter)


def test_resuming_needs_no_meter(waltz: Path, waltzes: Path, tmp_path: Path) -> None:
    """The training is finished, but its windows are read. One that goes on: test_own_config.py."""
    train_dir = shutil.copytree(waltz, tmp_path / "train")
    result = train(options(train_dir, waltzes, num_steps=2))
    assert (result.step, result.windows) == (2, 8)
    assert result.layout == load_model(waltz).layout


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"meter": "4/4"}, "meter is 3/4, not 4/4"),
        ({"meter": "6/8"}, "meter is 3/4, not 6/8"),
        ({"drum_map": "gm"}, r"drum_map is kick 101\+100.*, not kick 36\+35"),
    ],
)
def test_resuming_with_another_meter_or_drum_map_is_refused(
    waltz: Path, waltzes: Path, tmp_path: Path, changed: dict[str, str], words: str
) -> None:
    train_dir = shutil.copytree(waltz, tmp_path / "train")
    with pytest.raises(UsageError, match=words):
        train(options(train_dir, waltzes, num_steps=9, **changed))


def test_no_windows_name_the_meter(records: Path, tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=r"not in 3/4.*is in 3/4 \(see --meter\)"):
        train(options(tmp_path / "train", records, meter="3/4"))


def test_training_of_an_earlier_version_is_in_4_4(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    saved = config_of(train_dir)
    for name in ("meter", "drum_map", "tempo_changes"):
        del saved[name]
    (train_dir / "config.json").write_text(json.dumps(saved))
    assert load_model(train_dir, seed=1).layout.meter == (4, 4)
    result = train(options(train_dir, records, num_steps=3))  # it is finished, but checked
    assert (result.step, result.windows, result.layout.meter) == (3, 200, (4, 4))


@pytest.mark.parametrize(
    ("name", "value"), [("meter", "7/8"), ("meter", 3), ("drum_map", [[36]]), ("drum_map", "gm")]
)
def test_damaged_config_json_is_one_line(
    waltz: Path, tmp_path: Path, name: str, value: Any
) -> None:
    train_dir = shutil.copytree(waltz, tmp_path / "train")
    saved = config_of(train_dir) | {name: value}
    (train_dir / "config.json").write_text(json.dumps(saved))
    with pytest.raises(GroovaeError, match=r"config\.json.*remove it") as raised:
        load_model(train_dir)
    assert "\n" not in str(raised.value)


# Evaluation


def test_evaluation_knows_meter_and_drum_map(
    groovae: Groovae, waltz: Path, waltzes: Path, tmp_path: Path
) -> None:
    flags = [f"--checkpoint={waltz}", f"--examples_path={waltzes}"]
    result = groovae("evaluate", *flags, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["windows"] == 8
    assert "1 not in 3/4" in result.stderr
    assert "no drum class" not in result.stderr
    overridden = groovae("evaluate", *flags, "--drum_map=gm")
    assert_one_line(overridden, 1, "no window to evaluate on", "see --drum_map")


def test_metrics_and_report_have_bars_of_three_quarters(
    exported_waltz: Path, waltzes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound of a report, which is slow to render, is in tests/report."""
    monkeypatch.setattr(encoding, "check_ready", no_sound)
    data = DataSource(str(waltzes))
    study = evaluate_model(str(exported_waltz), data, data, num_samples=4)
    found = study.results
    assert (found["meter"], found["windows"], found["hits"]) == ("3/4", 8, 8 * 4 * 6)
    assert len(found["by_position"]) == 12
    assert found["samples"]["features"]["density"]["data"]["mean"] == 6
    report.write(tmp_path / "page.html", study, options=report.ReportOptions(num_pairs=1))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "groovae_4bar" in page
    bars = re.search(r'<g id="grid-48">.*?class="bar" d="([^"]*)"', page)
    assert bars
    assert re.findall(r"M(\d+)", bars[1]) == ["0", "12", "24", "36", "48"]
    assert "windows of 4 bars in 3/4" in page
    assert "24 hits in 4 bars" in page


# Exports


def test_onnx_export_keeps_meter_and_drum_map(waltz: Path, exported_waltz: Path) -> None:
    ours, theirs = (load_model(path, seed=3, batch_size=4) for path in (waltz, exported_waltz))
    assert theirs.layout == ours.layout
    assert (theirs.layout.meter, theirs.layout.window_steps) == ((3, 4), 48)
    samples = [model.sample(1, 4, 1.0)[0] for model in (ours, theirs)]
    assert [(n.pitch, n.velocity) for n in samples[0].notes] == [
        (n.pitch, n.velocity) for n in samples[1].notes
    ]
    assert samples[1].time_signatures[0].numerator == 3
    assert samples[1].total_time == 6


def test_onnx_export_with_another_drum_map_is_refused(exported_waltz: Path, tmp_path: Path) -> None:
    shutil.copytree(exported_waltz, tmp_path / "onnx")
    saved = config_of(tmp_path / "onnx")
    (tmp_path / "onnx" / "config.json").write_text(json.dumps(saved | {"drum_map": None}))
    with pytest.raises(GroovaeError, match="differing: drum_map"):
        load_model(tmp_path / "onnx")


def test_magentajs_plays_4_4_only(groovae: Groovae, waltz: Path, tmp_path: Path) -> None:
    result = groovae("export", "--format=magentajs", f"--checkpoint={waltz}", "--out=web")
    assert_one_line(result, 1, "magenta.js", "3/4", "only 4/4", "--format=onnx")
    assert not (tmp_path / "web").exists()


# Drum maps


def test_own_pitches_reach_the_model_and_come_back(
    groovae: Groovae, waltz: Path, kit: Path, tmp_path: Path
) -> None:
    saved = config_of(waltz)
    own = [list(pitches) for pitches in read_drum_map(str(kit))]
    assert saved["drum_map"] == saved["data_converter"]["pitch_classes"] == own
    assert saved["windows"]["unmapped_pitches"] == {}
    write_sequence(tmp_path / "in.mid", a_waltz(4), False)
    result = groovae(
        *("reconstruct", "in.mid", "--out=out.mid", "--temperature=3", "--seed=1"),
        f"--checkpoint={waltz}",
    )
    assert result.returncode == 0, result.stderr
    assert "no drum class" not in result.stderr
    written = {note.pitch for note in read_sequence(tmp_path / "out.mid").notes}
    assert set(OWN_PITCHES) < written <= {pitches[0] for pitches in own}
    overridden = groovae(
        *("sample", "--out=gm.mid", "--temperature=3", "--seed=1", "--drum_map=gm"),
        f"--checkpoint={waltz}",
    )
    assert overridden.returncode == 0, overridden.stderr
    assert time_signatures(tmp_path / "gm.mid") == [(3, 4)]
    pitches = {note.pitch for note in read_sequence(tmp_path / "gm.mid").notes}
    assert pitches
    assert not pitches & set(OWN_PITCHES)


def test_own_pitches_are_humanized(groovae: Groovae, kit: Path, tmp_path: Path) -> None:
    """Also in 6/8, which has bars of three quarters like 3/4."""
    records = write_records(tmp_path / "some.tfrecord", *[a_waltz(48, (6, 8))] * 2)
    more = {"config": "groovae_2bar_humanize", "meter": "6/8", "drum_map": str(kit)}
    train(options(tmp_path / ".train", records, num_steps=1, **more))
    saved = config_of(tmp_path / ".train")
    assert (saved["meter"], saved["data_converter"]["quarters_per_bar"]) == ("6/8", 3)
    assert (saved["windows"]["windows"], saved["hparams"]["max_seq_len"]) == (48, 24)
    write_sequence(tmp_path / "in.mid", a_waltz(2, (6, 8)), False)
    result = groovae("humanize", "in.mid", "--out=out.mid", "--seed=1")
    assert result.returncode == 0, result.stderr
    before, after = (read_sequence(tmp_path / name).notes for name in ("in.mid", "out.mid"))
    assert sorted(note.pitch for note in before) == sorted(note.pitch for note in after)
    assert all(note.velocity != 90 for note in after)
    assert time_signatures(tmp_path / "out.mid") == [(6, 8)]


def test_model_without_a_drum_map_plays_general_midi(model: GrooveModel, trained: Path) -> None:
    assert model.layout.pitch_classes == read_drum_map("gm")
    assert load_model(trained, drum_map="roland").layout.pitch_classes == read_drum_map("roland")


def test_magentajs_export_keeps_the_drum_map(tmp_path: Path) -> None:
    from groovae.export.magentajs import export

    roland = read_drum_map("roland")
    config = config_map.get_config("groovae_4bar", TINY_HPARAMS, drum_map=roland)
    config_map.save_config(tmp_path, config_map.config_json("groovae_4bar", config))
    random_checkpoint(tmp_path, "groovae_4bar", TINY_HPARAMS)
    assert load_model(tmp_path).layout.pitch_classes == roland
    export(tmp_path, tmp_path / "web")
    arguments = config_of(tmp_path / "web")["dataConverter"]["args"]
    assert tuple(map(tuple, arguments["pitchClasses"])) == roland


def test_default_drums_of_general_midi_have_a_class(model: GrooveModel) -> None:
    """The acoustic bass drum and the low floor tom, which Magenta raises a KeyError for."""
    for pitch in (35, 41):
        report = count_windows(a_groove(16, pitch=pitch), model.layout)
        assert (report.windows, report.unmapped_pitches) == (4, {})


# Tempo changes


def test_tempo_changes_are_skipped_or_followed(groovae: Groovae, tmp_path: Path) -> None:
    """In the training, its validation, and the evaluation of its model; all in 5/4."""
    tempos, meters = [(0, 120), (5, 90), (10, 150)], [(0, 5, 4)]
    steady, changing = a_groove(20, meters=meters), a_groove(20, tempos=tempos, meters=meters)
    write_records(tmp_path / "changing.tfrecord", changing)
    write_records(tmp_path / "both.tfrecord", *[steady, changing] * 2)
    changing_only, both = "--examples_path=changing.tfrecord", "--examples_path=both.tfrecord"
    flags = [f"--hparams={TINY_HPARAMS}", "--num_steps=1", "--nofit_prior", "--meter=5/4"]
    skipped = groovae("train", changing_only, *flags)
    assert_one_line(skipped, 1, "0 windows", "with tempo changes", "--tempo_changes=follow")
    flags += ["--eval_examples_path=changing.tfrecord", "--tempo_changes=follow"]
    followed = groovae("train", both, *flags)
    assert followed.returncode == 0, followed.stderr
    assert (tmp_path / ".train" / "best" / "model.ckpt-1.index").exists()
    assert "windows from 4 of 4 sequences" in followed.stderr
    saved = config_of(tmp_path / ".train")
    assert (saved["meter"], saved["data_converter"]["quarters_per_bar"]) == ("5/4", 5)
    assert (saved["hparams"]["max_seq_len"], saved["tempo_changes"]) == (80, "follow")
    assert_one_line(groovae("evaluate", changing_only), 1, "with tempo changes")
    evaluated = groovae("evaluate", changing_only, "--tempo_changes=follow", "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["windows"] == 4
    # Copies are searched in the windows that were trained on.
    baselines = "--baseline_examples_path=both.tfrecord"
    measured = groovae("evaluate", "--metrics", "--json", both, baselines, "--num_samples=2")
    assert measured.returncode == 0, measured.stderr
    found = json.loads(measured.stdout)
    trained_on = saved["windows"]["windows"]
    assert found["windows"] == 8
    assert found["samples"]["windows_trained_on"] == trained_on > 8
    sampled = groovae("sample", "--bars=6", "--seed=1", "--temperature=1", "--out=new.mid")
    assert sampled.returncode == 0, sampled.stderr
    assert time_signatures(tmp_path / "new.mid") == [(5, 4)]
    assert mido.MidiFile(tmp_path / "new.mid").length == pytest.approx(6 * 5 * 0.5, abs=0.13)


def test_comparison_uses_the_tempo_at_each_bar(model: GrooveModel) -> None:
    """A hit a tenth of a 16th late: 12.5 ms at 120 qpm, 25 ms at 60 qpm."""
    grooves = []
    for late_steps in (0.0, 0.1):
        groove = a_groove(0, tempos=[(0, 120), (2, 60)])
        for start, step_seconds in ((0, 0.125), (2, 0.25)):
            at = start + late_steps * step_seconds
            groove.notes.add(start_time=at, end_time=at + 0.1, pitch=36, velocity=80, is_drum=True)
        grooves.append(groove)
    found = model.compare(*grooves)
    assert found["timing_mae_ms"] == pytest.approx((12.5 + 25) / 2, abs=0.01)
    assert found["timing_mae_16ths"] == pytest.approx(0.1, abs=1e-4)
    assert found["density_mae"] == 0


def test_comparison_of_grooves_without_notes(model: GrooveModel) -> None:
    found = model.compare(a_groove(0), a_groove(0))
    assert found["hit_f1"] == 1
    assert np.isnan(found["timing_mae_ms"])


def test_density_error_is_that_of_the_whole_groove(model: GrooveModel) -> None:
    one, two = a_groove(2), a_groove(2)
    del one.notes[:4], two.notes[-4:]
    assert model.compare(one, two)["density_mae"] == 0
