"""Training: Magenta's graph and checkpoints, resuming, and every way in which it cannot work."""

import dataclasses
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    ROOT,
    SMALL_HPARAMS,
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    write_records,
)

import groovae.training.hooks
from groovae.config import config_map
from groovae.data import window_cache
from groovae.data.batches import Batch, training_batches
from groovae.data.records import find
from groovae.errors import GroovaeError, UsageError
from groovae.generation.groove_model import load_model
from groovae.model.checkpoints import find_checkpoint
from groovae.training.graph import _clipped_gradients, feed
from groovae.training.hooks import Progress
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, as what it takes to start is no matter here."""
    return in_process


BARS_3_4 = "X:1\nM:3/4\nL:1/4\nQ:120\nK:C\n" + "CDE|" * 8 + "\n"


def test_a_checkpoint_has_the_variables_of_native_magenta(
    records: Path, native: Path, tmp_path: Path
):
    result = train(TrainOptions(str(tmp_path), str(records), hparams=SMALL_HPARAMS, num_steps=1))
    ours = tf.train.list_variables(result.checkpoint)
    theirs = tf.train.list_variables(str(native / "checkpoint" / "model.ckpt-400"))
    assert ours == theirs


def test_what_a_training_leaves_behind(trained: Path, records: Path):
    names = {path.name for path in trained.iterdir()}
    assert {"checkpoint", "config.json", "graph.pbtxt", "model.ckpt-3.index"} <= names
    saved = json.loads((trained / "config.json").read_text())
    assert (saved["config"], saved["hparams"]["z_size"], saved["seed"]) == ("groovae_4bar", 4, 1)
    assert saved["train_examples_path"] == str(records)
    assert (saved["windows"]["sequences"], saved["windows"]["windows"]) == (100, 200)
    tags, texts = _events(trained)
    assert {"loss", "losses/r_loss", "losses/kl_bits", "learning_rate", "global_norm"} <= tags
    assert str(records).encode() in texts["examples_path"]
    assert b"| z_size | 4 |" in texts["hparams"]


def test_the_data_is_not_in_the_graph(trained: Path, records: Path):
    # 200 windows of 64 x 27 x 4 bytes, in and out, would be 2.8 MB.
    assert (trained / "model.ckpt-3.meta").stat().st_size < 2_000_000


def test_training_goes_on_where_it_stopped(trained: Path, records: Path, tmp_path: Path):
    train_dir = shutil.copytree(trained, tmp_path / "train")
    steps: list[int] = []
    options = TrainOptions(str(train_dir), str(records), hparams=TINY_HPARAMS, num_steps=5)
    result = train(options, on_step=lambda progress: steps.append(progress.step))
    assert (steps, result.step, result.stopped_by) == ([4, 5], 5, None)
    assert json.loads((train_dir / "config.json").read_text())["seed"] == 1


def test_a_resumed_training_gets_the_batches_it_would_have_got(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fed: list[np.ndarray] = []

    def spy(inputs: Any, batch: Batch) -> Any:
        fed.append(batch.outputs)
        return feed(inputs, batch)

    monkeypatch.setattr(groovae.training.hooks, "feed", spy)
    for num_steps in (2, 5):
        train(
            TrainOptions(
                str(tmp_path), str(records), hparams=TINY_HPARAMS, num_steps=num_steps, seed=6
            )
        )
    windows = window_cache.load(find(records), config_map.layout("groovae_4bar"), tmp_path)
    expected = itertools.islice(training_batches(windows, 8, seed=6), 5)
    np.testing.assert_array_equal(fed, [batch.outputs for batch in expected])


def test_a_notes_policy_and_a_hop_reach_the_windows(groovae: Groovae, tmp_path: Path):
    grooves = [a_groove(8), a_groove(8, pitch=39), a_groove(8, is_drum=False)]
    write_records(tmp_path / "some.tfrecord", *grooves)
    flags = ["--examples_path=some.tfrecord", f"--hparams={TINY_HPARAMS}", "--num_steps=1"]
    assert_one_line(groovae("train", *flags), 1, "some.tfrecord: 2 windows", "batch of 8")
    assert_one_line(
        groovae("train", *flags, "--unmapped_pitches=error"), 1, "groove.mid", "39 (hand clap)"
    )
    result = groovae("train", *flags, "--unmapped_pitches=nearest", "--all_notes", "--hop_bars=1")
    assert result.returncode == 0, result.stderr
    assert "15 windows from 3 of 3 sequences" in result.stderr
    saved = json.loads((tmp_path / ".train" / "config.json").read_text())
    assert (saved["hop_bars"], saved["unmapped_pitches"], saved["all_notes"]) == (
        1,
        "nearest",
        True,
    )


def test_training_that_is_done_says_so(trained: Path, records: Path):
    lines: list[str] = []
    options = TrainOptions(str(trained), str(records), hparams=TINY_HPARAMS, num_steps=3)
    assert train(options, log=lines.append).step == 3
    assert "raise --num_steps" in lines[-1]


def test_training_hparams_may_change_on_resume(trained: Path, records: Path, tmp_path: Path):
    train_dir = shutil.copytree(trained, tmp_path / "train")
    hparams = f"{TINY_HPARAMS},learning_rate=0.0005,free_bits=3".replace(
        "batch_size=8", "batch_size=4"
    )
    assert train(TrainOptions(str(train_dir), str(records), hparams=hparams, num_steps=4)).step == 4


@pytest.mark.parametrize(
    ("config", "hparams", "word"),
    [
        ("groovae_4bar", TINY_HPARAMS.replace("z_size=4", "z_size=5"), "z_size is 4 there, 5 here"),
        ("groovae_2bar_humanize", TINY_HPARAMS, "config is groovae_4bar there"),
    ],
)
def test_another_model_is_refused(
    trained: Path, records: Path, config: str, hparams: str, word: str
):
    before = (trained / "config.json").read_text()
    with pytest.raises(UsageError, match=word):
        train(TrainOptions(str(trained), str(records), config=config, hparams=hparams, num_steps=9))
    assert (trained / "config.json").read_text() == before


def test_another_model_without_config_json_is_refused(trained: Path, records: Path, tmp_path: Path):
    train_dir = shutil.copytree(trained, tmp_path / "train")
    (train_dir / "config.json").unlink()
    hparams = TINY_HPARAMS.replace("z_size=4", "z_size=5")
    with pytest.raises(GroovaeError, match=r"what differs: z_size\)"):
        train(TrainOptions(str(train_dir), str(records), hparams=hparams, num_steps=9))


def test_a_refused_resume_leaves_the_folder_as_it_was(records: Path, native: Path, tmp_path: Path):
    train_dir = shutil.copytree(native / "checkpoint", tmp_path / "train")
    before = sorted(path.name for path in train_dir.iterdir())
    with pytest.raises(GroovaeError, match="not a checkpoint of groovae_4bar"):
        train(TrainOptions(str(train_dir), str(records), hparams=TINY_HPARAMS, num_steps=900))
    assert sorted(path.name for path in train_dir.iterdir()) == before


def test_a_folder_without_a_checkpoint_may_become_another_model(
    trained: Path, records: Path, tmp_path: Path
):
    shutil.copy(trained / "config.json", tmp_path)
    hparams = [TINY_HPARAMS, "z_size=5"]
    assert train(TrainOptions(str(tmp_path), str(records), hparams=hparams, num_steps=1)).step == 1
    assert json.loads((tmp_path / "config.json").read_text())["hparams"]["z_size"] == 5


def test_hparams_of_a_flagfile_are_merged_with_ones_own(
    groovae: Groovae, records: Path, tmp_path: Path
):
    (tmp_path / "a.flags").write_text(f"--hparams={TINY_HPARAMS}\n--num_steps=1\n")
    result = groovae(
        "train", "--flagfile=a.flags", "--hparams=z_size=7", f"--examples_path={records}"
    )
    assert result.returncode == 0, result.stderr
    hparams = json.loads((tmp_path / ".train" / "config.json").read_text())["hparams"]
    assert (hparams["z_size"], hparams["enc_rnn_size"], hparams["batch_size"]) == (7, [8], 8)


def test_hparams_that_make_no_model_are_an_error(records: Path, tmp_path: Path):
    hparams = f"{TINY_HPARAMS},sampling_schedule=sometimes"
    with pytest.raises(UsageError, match="sometimes"):
        train(TrainOptions(str(tmp_path / "train"), str(records), hparams=hparams, num_steps=1))
    assert not (tmp_path / "train").exists()


def test_another_seed_gives_other_losses(records: Path, tmp_path: Path):
    """The same one gives the same checkpoint; see test_train_faults.py."""

    def losses(seed: int) -> list[float]:
        seen: list[float] = []
        options = TrainOptions(
            str(tmp_path / str(seed)), str(records), hparams=TINY_HPARAMS, num_steps=3, seed=seed
        )
        train(options, on_step=lambda progress: seen.append(progress.loss))
        return seen

    assert losses(3) != losses(4)


@pytest.mark.parametrize("config", sorted(set(config_map.CONFIG_MAP) - {"groovae_4bar"}))
def test_every_groovae_config_trains(config: str, records: Path, tmp_path: Path):
    options = TrainOptions(
        str(tmp_path), str(records), config=config, hparams=TINY_HPARAMS, num_steps=2
    )
    assert train(options).step == 2


@pytest.mark.parametrize(
    "extra", ["clip_mode=value", "grad_norm_clip_to_zero=0"], ids=["value", "to zero"]
)
def test_clipping(extra: str, records: Path, tmp_path: Path):
    hparams = f"{TINY_HPARAMS},{extra}"
    options = TrainOptions(str(tmp_path), str(records), hparams=hparams, num_steps=2, seed=1)
    first = str(train(options).checkpoint).removesuffix("-2") + "-0"
    moved = [
        name
        for name, _ in tf.train.list_variables(first)
        if name.endswith(("kernel", "bias"))
        and (tf.train.load_variable(first, name) != _variable(tmp_path, name)).any()
    ]
    assert bool(moved) == (extra == "clip_mode=value")


def test_an_unknown_clip_mode_is_an_error():
    hparams = config_map.get_config().hparams
    hparams.clip_mode = "sometimes"
    with tf.Graph().as_default(), pytest.raises(UsageError, match="'sometimes'"):
        _clipped_gradients([(tf.zeros(1), tf.zeros(1))], hparams)


def test_without_the_cache_it_trains_too_and_a_glob_names_the_records(
    records: Path, tmp_path: Path
):
    for name in "ab":
        shutil.copy(records, tmp_path / f"{name}.tfrecord")
    lines: list[str] = []
    options = TrainOptions(
        str(tmp_path / "train"),
        str(tmp_path / "?.tfrecord"),
        hparams=TINY_HPARAMS,
        num_steps=3,
        cache_dataset=False,
    )
    assert train(options, log=lines.append).step == 3
    assert "400 windows from 200 of 200 sequences" in lines[1]


def test_too_few_windows_is_an_error_with_the_way_out(records: Path, tmp_path: Path):
    options = TrainOptions(str(tmp_path / "train"), str(records), hparams="batch_size=256")
    with pytest.raises(GroovaeError, match=r"200 windows.*256.*batch_size=128"):
        train(options)
    assert not (tmp_path / "train").exists()


def test_no_windows_is_an_error_with_the_reason(groovae: Groovae, tmp_path: Path):
    (tmp_path / "midi").mkdir()
    (tmp_path / "midi" / "waltz.abc").write_text(BARS_3_4)
    assert groovae("preprocess", "midi", "waltz.tfrecord").returncode == 0
    result = groovae("train", "--examples_path=waltz.tfrecord")
    assert_one_line(result, 1, "waltz.tfrecord", "0 windows", "1 ", "drum notes")
    assert not (tmp_path / ".train").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--examples_path=nowhere.tfrecord"], 1, ["nowhere.tfrecord", "groovae preprocess"]),
        (["--config=groovae_9bar"], 2, ["groovae_9bar", "groovae_4bar"]),
        (["--hparams=zsize=3"], 2, ["zsize", "z_size"]),
        (["--num_steps=-1"], 2, ["num_steps"]),
        (["--num_sync_workers=1000"], 2, ["TF_CONFIG"]),
        (["--num_sync_workers=2"], 2, ["TF_CONFIG", "--master"]),
        (["--num_ps_tasks=1"], 2, ["--master"]),
        (["--task=1"], 2, ["--master"]),
    ],
)
def test_a_wrong_call_is_one_line(groovae: Groovae, flags: list[str], code: int, words: list[str]):
    assert_one_line(groovae("train", *flags), code, *words)


def test_a_copied_folder_goes_on_from_its_own_checkpoint(records: Path, tmp_path: Path):
    """Magenta's state file holds absolute paths, which lead back to where the folder came from."""
    options = TrainOptions(str(tmp_path / "a"), str(records), hparams=TINY_HPARAMS, num_steps=1)
    train(options)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / "checkpoint").write_text(
        f'model_checkpoint_path: "{tmp_path / "a" / "model.ckpt-0"}"\n'
    )
    options = dataclasses.replace(options, train_dir=str(tmp_path / "b"), num_steps=2)
    steps: list[int] = []
    train(options, on_step=lambda progress: steps.append(progress.step))
    assert steps == [2]
    assert find_checkpoint(tmp_path / "b") == str(tmp_path / "b" / "model.ckpt-2")
    assert find_checkpoint(tmp_path / "a") == str(tmp_path / "a" / "model.ckpt-1")


def test_a_train_dir_that_cannot_be_made_is_one_error(records: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(GroovaeError, match="file"):
        train(TrainOptions(str(tmp_path / "file"), str(records), hparams=TINY_HPARAMS, num_steps=1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_a_checkpoint_and_the_next_run_goes_on(
    number: signal.Signals, records: Path, tmp_path: Path
):
    arguments = [f"--examples_path={records}", f"--hparams={TINY_HPARAMS}", "--num_steps=100000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "groovae", "train", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    for line in process.stderr:
        if line.startswith("step 100/"):
            break
    process.send_signal(number)
    rest = process.stderr.read()
    assert process.wait(timeout=60) == 128 + number
    stopped = re.search(rf"stopped by {number.name} at step ([\d,]+), saved as (\S+);", rest)
    assert stopped, rest
    step = int(stopped.group(1).replace(",", ""))
    assert step >= 100
    assert find_checkpoint(tmp_path / ".train") == str(tmp_path / ".train" / f"model.ckpt-{step}")
    options = TrainOptions(
        str(tmp_path / ".train"), str(records), hparams=TINY_HPARAMS, num_steps=step + 1
    )
    assert train(options).step == step + 1


def test_progress_tells_the_pace_and_the_time_left(records: Path, tmp_path: Path):
    seen: list[Progress] = []
    options = TrainOptions(str(tmp_path), str(records), hparams=TINY_HPARAMS, num_steps=4)
    began = time.monotonic()
    train(options, on_step=seen.append)
    assert [progress.step for progress in seen] == [1, 2, 3, 4]
    assert seen[0].steps_per_second == 0
    assert seen[-1].steps_per_second > 3 / (time.monotonic() - began)
    assert seen[-1].seconds_left == 0
    assert seen[1].seconds_left > 0


@pytest.mark.slow
def test_learning_equals_native(gmd_records: Path, native: Path, tmp_path: Path):
    """400 steps of the small model on GMD decode real windows about as native Magenta's do."""
    train(
        TrainOptions(str(tmp_path), str(gmd_records), hparams=SMALL_HPARAMS, num_steps=400, seed=1)
    )
    outputs = np.load(native / "native_outputs.npz")
    inputs = outputs["inputs"]
    _, mu, _ = load_model(tmp_path).trained_model.encode_tensors(list(inputs), [64] * len(inputs))
    ours = _errors(inputs, load_model(tmp_path).decode_to_tensors(mu, 4, 1e-6))
    theirs = _errors(inputs, outputs["decoded_mu"])
    assert ours == pytest.approx(theirs, abs=0.1)


@pytest.mark.slow
def test_the_full_model_on_the_real_data(gmd_records: Path, groovae: Groovae, tmp_path: Path):
    result = groovae(
        "train", "--config=groovae_4bar", f"--examples_path={gmd_records}", "--num_steps=3"
    )
    assert result.returncode == 0, result.stderr
    first = re.search(r"step 1/3  loss ([\d.]+)", result.stderr)
    assert first
    assert 500 < float(first.group(1)) < 650
    sampled = groovae("sample", "--temperature=0.5", "--out=drum_4bar.mid")
    assert (sampled.returncode, sampled.stdout.strip()) == (0, "drum_4bar.mid"), sampled.stderr


def _errors(truth: np.ndarray, decoded: np.ndarray) -> list[float]:
    """Share of wrong cells of the hits, mean velocity error, mean offset error."""
    return [
        float(np.abs(truth[..., part] - decoded[..., part]).mean())
        for part in (slice(9), slice(9, 18), slice(18, 27))
    ]


def _variable(train_dir: Path, name: str) -> np.ndarray:
    return tf.train.load_variable(str(train_dir), name)


def _events(train_dir: Path) -> tuple[set[str], dict[str, bytes]]:
    tags, texts = set(), {}
    for file in train_dir.glob("events.out.tfevents.*"):
        for event in tf.train.summary_iterator(str(file)):
            for value in event.summary.value:
                tags.add(value.tag)
                if value.tensor.string_val:
                    texts[value.tag] = value.tensor.string_val[0]
    return tags, texts
