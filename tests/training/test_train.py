"""Training: Magenta's graph and checkpoints, resuming, and errors before the first step."""

import itertools
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    SMALL_HPARAMS,
    TINY_HPARAMS,
    Groovae,
    a_groove,
    assert_one_line,
    write_records,
)

from groovae.config import config_map
from groovae.data import window_cache
from groovae.data.batches import Batch, training_batches
from groovae.data.records import find
from groovae.errors import GroovaeError, UsageError
from groovae.generation.loading import load_model
from groovae.model.checkpoints import find_checkpoint
from groovae.training import hooks
from groovae.training.graph import clip_gradients, feed
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, which saves the import of TensorFlow."""
    return in_process


def options(train_dir: Path, records: Path, **more: Any) -> TrainOptions:
    return TrainOptions(str(train_dir), str(records), **{"hparams": TINY_HPARAMS, **more})


def read_config(train_dir: Path) -> dict[str, Any]:
    return json.loads((train_dir / "config.json").read_text())


# What a training writes


def test_files_of_a_training_folder(trained: Path, records: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert {"checkpoint", "config.json", "graph.pbtxt", "model.ckpt-3.index"} <= names
    saved = read_config(trained)
    assert (saved["config"], saved["hparams"]["z_size"], saved["seed"]) == ("groovae_4bar", 4, 1)
    assert saved["train_examples_path"] == str(records)
    assert (saved["windows"]["sequences"], saved["windows"]["windows"]) == (100, 200)
    tags, texts = read_events(trained)
    assert {"loss", "losses/r_loss", "losses/kl_bits", "learning_rate", "global_norm"} <= tags
    assert str(records).encode() in texts["examples_path"]
    assert b"| z_size | 4 |" in texts["hparams"]


def read_events(train_dir: Path) -> tuple[set[str], dict[str, bytes]]:
    tags, texts = set(), {}
    for file in train_dir.glob("events.out.tfevents.*"):
        for event in tf.train.summary_iterator(str(file)):
            for value in event.summary.value:
                tags.add(value.tag)
                if value.tensor.string_val:
                    texts[value.tag] = value.tensor.string_val[0]
    return tags, texts


def test_graph_does_not_contain_the_data(trained: Path) -> None:
    # 200 windows of 64 x 27 x 4 bytes, in and out, would be 2.8 MB.
    assert (trained / "model.ckpt-3.meta").stat().st_size < 2_000_000


def test_each_checkpoint_has_the_graph(trained: Path) -> None:
    first, last = (
        tf.MetaGraphDef.FromString((trained / f"model.ckpt-{step}.meta").read_bytes())
        for step in (0, 3)
    )
    assert first == last
    assert any(node.name == "encoder/mu/kernel" for node in last.graph_def.node)


# Resuming


def test_resumed_training_gets_the_batches_of_an_uninterrupted_one(
    trained: Path, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with Magenta's graph, and in a copied folder that names a path in the original one."""
    fed: list[np.ndarray] = []

    def spy(inputs: Any, batch: Batch) -> Any:
        fed.append(batch.outputs)
        return feed(inputs, batch)

    monkeypatch.setattr(hooks, "feed", spy)
    copied = shutil.copytree(trained, tmp_path / "copied")
    (copied / "checkpoint").write_text(f'model_checkpoint_path: "{trained / "model.ckpt-0"}"\n')
    steps: list[int] = []
    result = train(
        options(copied, records, rnn="magenta", num_steps=5),
        on_step=lambda progress: steps.append(progress.step),
    )
    assert (steps, result.step, result.stopped_by) == ([4, 5], 5, None)
    saved = read_config(copied)
    assert (saved["seed"], saved["rnn"], saved["matmul_precision"]) == (1, "magenta", "float32")
    assert find_checkpoint(copied) == str(copied / "model.ckpt-5")
    assert find_checkpoint(trained) == str(trained / "model.ckpt-3")
    windows = window_cache.load(find(records), config_map.layout("groovae_4bar"), tmp_path)
    expected = itertools.islice(training_batches(windows, 8, seed=1), 3, 5)
    np.testing.assert_array_equal(fed, [batch.outputs for batch in expected])


def test_finished_training_names_the_flag_to_continue(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    train_dir = shutil.copytree(trained, tmp_path / "train")
    assert train(options(train_dir, records, num_steps=3), log=lines.append).step == 3
    assert "--num_steps" in lines[-1]


@pytest.mark.parametrize(
    ("config", "hparams", "words"),
    [
        ("groovae_4bar", "z_size=5", "z_size is 4, not 5"),
        ("groovae_2bar_humanize", "z_size=4", "config.*groovae_4bar"),
    ],
)
def test_resuming_another_model_is_refused(
    trained: Path, records: Path, tmp_path: Path, config: str, hparams: str, words: str
) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    another = [TINY_HPARAMS, hparams]
    with pytest.raises(UsageError, match=words):
        train(options(train_dir, records, config=config, hparams=another, num_steps=9))
    assert read_config(train_dir) == read_config(trained)


def test_resuming_another_model_without_config_json_changes_nothing(
    records: Path, native: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(native / "checkpoint", tmp_path / "train")
    before = sorted(path.name for path in train_dir.iterdir())
    hparams = [SMALL_HPARAMS, "z_size=5,batch_size=8"]
    with pytest.raises(GroovaeError, match=r"groovae_4bar.*: z_size\)"):
        train(options(train_dir, records, hparams=hparams, num_steps=900))
    assert sorted(path.name for path in train_dir.iterdir()) == before


# Hparams and data


@pytest.mark.parametrize(
    ("hparams", "rnn", "words"),
    [
        ("sampling_schedule=sometimes", None, "sometimes"),
        ("feel_loss=absolute", "magenta", "--rnn=layerwise"),
    ],
)
def test_invalid_hparams_are_a_usage_error(
    records: Path, tmp_path: Path, hparams: str, rnn: str | None, words: str
) -> None:
    more = {"config": "groovae_2bar_humanize_hits", "rnn": rnn, "num_steps": 1}
    with pytest.raises(UsageError, match=words):
        train(options(tmp_path / "train", records, hparams=[TINY_HPARAMS, hparams], **more))
    assert not (tmp_path / "train").exists()


def test_flags_reach_hparams_and_windows(groovae: Groovae, trained: Path, tmp_path: Path) -> None:
    """The windows of all files that match a pattern, without a cache.

    Hparams are merged, and replace a config.json without a checkpoint.
    """
    grooves = [a_groove(8), a_groove(8, pitch=39), a_groove(8, is_drum=False)]
    write_records(tmp_path / "some.tfrecord", *grooves)
    (tmp_path / "a.flags").write_text(f"--hparams={TINY_HPARAMS}\n--num_steps=1\n--nofit_prior\n")
    flags = ["--flagfile=a.flags", "--examples_path=some.tfrecord", "--hparams=z_size=7"]
    assert_one_line(groovae("train", *flags), 1, "some.tfrecord: 2 windows", "batch of 8")
    assert_one_line(
        groovae("train", *flags, "--unmapped_pitches=error"), 1, "groove.mid", "39 (hand clap)"
    )
    shutil.copy(tmp_path / "some.tfrecord", tmp_path / "same.tfrecord")
    (tmp_path / ".train").mkdir()
    shutil.copy(trained / "config.json", tmp_path / ".train")
    caches = set(tmp_path.rglob("*.npy"))
    flags += ["--examples_path=s?me.tfrecord", "--nocache_dataset"]
    result = groovae("train", *flags, "--unmapped_pitches=nearest", "--all_notes", "--hop_bars=1")
    assert result.returncode == 0, result.stderr
    assert "30 windows from 6 of 6 sequences" in result.stderr
    assert set(tmp_path.rglob("*.npy")) == caches
    saved = read_config(tmp_path / ".train")
    found = tuple(saved[name] for name in ("hop_bars", "unmapped_pitches", "all_notes"))
    assert found == (1, "nearest", True)
    hparams = saved["hparams"]
    assert (hparams["z_size"], hparams["enc_rnn_size"], hparams["batch_size"]) == (7, [8], 8)


def test_too_few_windows_for_a_batch(records: Path, tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=r"200 windows.*256.*batch_size=128"):
        train(options(tmp_path / "train", records, hparams="batch_size=256"))
    assert not (tmp_path / "train").exists()


def test_no_windows_are_an_error_with_the_reason(groovae: Groovae, tmp_path: Path) -> None:
    write_records(tmp_path / "waltz.tfrecord", a_groove(meters=[(0, 3, 4)]))
    result = groovae("train", "--examples_path=waltz.tfrecord")
    assert_one_line(result, 1, "waltz.tfrecord", "0 windows", "1 ", "4/4")
    assert not (tmp_path / ".train").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--examples_path=nowhere.tfrecord"], 1, ["nowhere.tfrecord", "groovae preprocess"]),
        (["--config=groovae_9bar"], 2, ["groovae_9bar", "groovae_4bar"]),
        (["--hparams=zsize=3"], 2, ["zsize", "z_size"]),
        (["--num_steps=-1"], 2, ["num_steps"]),
        (["--num_sync_workers=2"], 2, ["TF_CONFIG", "--master"]),
    ],
)
def test_invalid_flags_are_one_line(
    groovae: Groovae, flags: list[str], code: int, words: list[str]
) -> None:
    assert_one_line(groovae("train", *flags), code, *words)


def test_train_dir_that_is_a_file(records: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GroovaeError, match="file"):
        train(options(tmp_path / "file", records, num_steps=1))


# Gradient clipping


@pytest.mark.parametrize(
    ("clip_mode", "clip_to_zero", "expected"),
    [
        ("value", 0, [1, -1, 0.5]),
        ("global_norm", 100, [0.6, -0.8, 0.1]),  # the norm is 5, without the small one
        ("global_norm", 5, [0, 0, 0]),
    ],
)
def test_clip_gradients(clip_mode: str, clip_to_zero: float, expected: list[float]) -> None:
    hparams = config_map.get_config().hparams
    hparams.clip_mode, hparams.grad_clip = clip_mode, 1.0
    hparams.grad_norm_clip_to_zero = clip_to_zero
    with tf.Graph().as_default(), tf.Session() as session:
        gradients = [tf.constant([3.0, -4.0]), tf.constant([0.5])]
        clipped = clip_gradients([(gradient, None) for gradient in gradients], hparams)
        found = np.concatenate(session.run([gradient for gradient, _ in clipped]))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_unknown_clip_mode() -> None:
    hparams = config_map.get_config().hparams
    hparams.clip_mode = "sometimes"
    with tf.Graph().as_default(), pytest.raises(UsageError, match="'sometimes'"):
        clip_gradients([(tf.zeros(1), tf.zeros(1))], hparams)


# Real data


@pytest.mark.slow
def test_learning_equals_native(few_records: Path, native: Path, tmp_path: Path) -> None:
    """40 steps of the small model decode real windows about as native Magenta's 400 do.

    After 20 steps the error of the velocities is still twice as large.
    """
    faster = [SMALL_HPARAMS, "batch_size=16,learning_rate=0.002"]
    train(options(tmp_path, few_records, hparams=faster, hop_bars=1, num_steps=40, seed=1))
    outputs = np.load(native / "native_outputs.npz")
    inputs = outputs["inputs"]
    model = load_model(tmp_path, as_hits=False)
    _, mu, _ = model.trained_model.encode_tensors(list(inputs), [64] * len(inputs))
    ours = mean_errors(inputs, model.decode_to_tensors(mu, 4, 1e-6))
    theirs = mean_errors(inputs, outputs["decoded_mu"])
    assert ours == pytest.approx(theirs, abs=0.05)


def mean_errors(truth: np.ndarray, decoded: np.ndarray) -> list[float]:
    """Return the share of wrong hits, and the mean absolute errors of velocity and offset."""
    return [
        float(np.abs(truth[..., part] - decoded[..., part]).mean())
        for part in (slice(9), slice(9, 18), slice(18, 27))
    ]


@pytest.mark.slow
def test_full_model_trains_and_samples(few_records: Path, groovae: Groovae, tmp_path: Path) -> None:
    """Without a prior, which test_priors.py fits to a small model."""
    flags = ["--config=groovae_4bar", f"--examples_path={few_records}", "--num_steps=1"]
    result = groovae("train", *flags, "--hparams=batch_size=4", "--nofit_prior")
    assert result.returncode == 0, result.stderr
    first = re.search(r"step 1/1  loss ([\d.]+)", result.stderr)
    assert first
    assert 500 < float(first.group(1)) < 650
    sampled = groovae("sample", "--temperature=0.5", "--out=drum_4bar.mid")
    assert (sampled.returncode, sampled.stdout.strip()) == (0, "drum_4bar.mid"), sampled.stderr
