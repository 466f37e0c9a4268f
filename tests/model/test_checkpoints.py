"""Finding and checking checkpoints, and fine-tuning from one."""

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_HPARAMS, TINY_HPARAMS, Groovae, assert_one_line

from groovae.errors import GroovaeError
from groovae.generation import bundled
from groovae.model.checkpoints import (
    find_checkpoint,
    need_checkpoint,
    newest_readable,
    read_initial_weights,
    remove_partial_checkpoints,
)
from groovae.training.train import TrainOptions, train
from groovae.upstream import tf

pytestmark = pytest.mark.usefixtures("cache_home")


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, which starts faster."""
    return in_process


def values(checkpoint: str) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(checkpoint)
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def data_file(train_dir: Path, step: int) -> Path:
    return train_dir / f"model.ckpt-{step}.data-00000-of-00001"


# Finding


def test_find_checkpoint_accepts_a_folder_a_prefix_or_a_file(trained: Path, tmp_path: Path) -> None:
    assert find_checkpoint(trained) == str(trained / "model.ckpt-3")
    for suffix in ("", ".index", ".meta", ".data-00000-of-00001"):
        prefix = str(trained / "model.ckpt-0")
        assert find_checkpoint(f"{prefix}{suffix}") == prefix
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / "nothing") is None
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "checkpoint").unlink()
    assert find_checkpoint(copy) == str(copy / "model.ckpt-3")


def test_find_checkpoint_ignores_other_files(trained: Path, tmp_path: Path) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    (train_dir / "drums.onnx").mkdir()
    (train_dir / "decoder.onnx").touch()
    assert need_checkpoint(train_dir) == str(train_dir / "model.ckpt-3")
    (train_dir / "checkpoint").unlink()
    assert need_checkpoint(train_dir) == str(train_dir / "model.ckpt-3")


def test_export_is_not_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").touch()
    with pytest.raises(GroovaeError, match="exported model"):
        find_checkpoint(tmp_path)
    with pytest.raises(GroovaeError, match=r"no such checkpoint; .* the folder of an ONNX export"):
        need_checkpoint(tmp_path / "drumms.onnx")


# Damaged checkpoints


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_incomplete_checkpoint_is_skipped(
    part: str, share: float, trained: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    truncate(train_dir / f"model.ckpt-3.{part}", share)
    lines: list[str] = []
    assert newest_readable(train_dir, lines.append) == str(train_dir / "model.ckpt-2")
    assert len(lines) == 1
    assert "model.ckpt-3: this checkpoint is damaged" in lines[0]


def test_training_resumes_before_an_incomplete_checkpoint(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    """With other hparams and precision of the training, and ignoring --init_checkpoint."""
    train_dir = shutil.copytree(trained, tmp_path / "train")
    truncate(data_file(train_dir, 3), 0.3)
    lines: list[str] = []
    steps: list[int] = []
    options = TrainOptions(
        str(train_dir),
        str(records),
        hparams=[TINY_HPARAMS, "learning_rate=0.0005,free_bits=3,batch_size=4"],
        num_steps=4,
        init_checkpoint=str(trained),
        matmul_precision="bfloat16",
    )
    train(options, lines.append, lambda progress: steps.append(progress.step))
    assert steps == [3, 4]
    assert json.loads((train_dir / "config.json").read_text())["matmul_precision"] == "bfloat16"
    skipped = [line for line in lines if "skipped" in line]
    assert len(skipped) == 1
    assert "model.ckpt-3: this checkpoint is damaged" in skipped[0]
    assert not any("variables of the model" in line for line in lines)
    assert any("--init_checkpoint" in line and str(trained) in line for line in lines)


def truncate(file: Path, share: float) -> None:
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])


def test_flipped_bit_is_detected(trained: Path, tmp_path: Path) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    for step in (2, 3):
        damaged = bytearray(data_file(train_dir, step).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        data_file(train_dir, step).write_bytes(damaged)
    lines: list[str] = []
    assert newest_readable(train_dir, lines.append) == str(train_dir / "model.ckpt-1")
    assert len(lines) == 2


def save(train_dir: Path, step: int, variables: dict[str, np.ndarray]) -> None:
    """Save a checkpoint of just these variables."""
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.Saver([tf.Variable(value, name=name) for name, value in variables.items()])
        session.run(tf.global_variables_initializer())
        saver.save(session, str(train_dir / "model.ckpt"), step, write_meta_graph=False)


def test_checkpoint_with_nan_is_skipped(trained: Path, tmp_path: Path) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    damaged = values(need_checkpoint(trained))
    damaged["encoder/mu/bias"][0] = np.nan
    save(train_dir, 3, damaged)
    lines: list[str] = []
    assert newest_readable(train_dir, lines.append) == str(train_dir / "model.ckpt-2")
    assert "encoder/mu/bias" in lines[0]


def test_checkpoint_without_optimizer_state_cannot_be_resumed(
    trained: Path, records: Path, tmp_path: Path
) -> None:
    model = {name: x for name, x in values(need_checkpoint(trained)).items() if "Adam" not in name}
    save(tmp_path, 3, {name: x for name, x in model.items() if "_power" not in name})
    options = TrainOptions(str(tmp_path), str(records), hparams=TINY_HPARAMS, num_steps=9)
    with pytest.raises(GroovaeError, match=r"no state of the optimizer.*--init_checkpoint"):
        train(options)


def test_train_without_readable_checkpoint_changes_nothing(
    groovae: Groovae, trained: Path, records: Path, tmp_path: Path
) -> None:
    train_dir = shutil.copytree(trained, tmp_path / ".train")
    for step in range(4):
        data_file(train_dir, step).write_bytes(b"")
    before = sorted(path.name for path in train_dir.iterdir())
    result = groovae("train", f"--examples_path={records}", f"--hparams={TINY_HPARAMS}")
    assert_one_line(result, 1, "model.ckpt-0: this checkpoint is damaged", "remove")
    assert sorted(path.name for path in train_dir.iterdir()) == before


def test_only_partial_checkpoints_are_removed(trained: Path, tmp_path: Path) -> None:
    train_dir = shutil.copytree(trained, tmp_path / "train")
    before = sorted(path.name for path in train_dir.iterdir())
    (train_dir / "model.ckpt-4_temp").mkdir()
    (train_dir / "model.ckpt-4_temp" / "part-00000-of-00001.data-00000-of-00001").touch()
    for name in ("data-00000-of-00001", "data-00000-of-00001.tempstate123", "meta"):
        (train_dir / f"model.ckpt-40.{name}").touch()
    own = ["model.ckpt-mine.txt", "model.ckpt-40.tar", "model.ckpt-40_best.mid"]
    for name in own:
        (train_dir / name).touch()
    (train_dir / "model.ckpt-40.backup").mkdir()
    remove_partial_checkpoints(train_dir)
    found = sorted(path.name for path in train_dir.iterdir())
    assert found == sorted([*before, *own, "model.ckpt-40.backup"])


# Fine-tuning


def as_tar(train_dir: Path, path: Path) -> Path:
    with tarfile.open(path, "w") as archive:
        for file in train_dir.glob("model.ckpt-*"):
            archive.add(file, f"some_model/{file.name}")
    return path


def one_step_from(start: Path, records: Path, folder: Path, hparams: str) -> TrainOptions:
    """Options of a new training in `folder`/train from the weights of another."""
    return TrainOptions(
        str(folder / "train"),
        str(records),
        hparams=hparams,
        num_steps=1,
        init_checkpoint=str(start),
    )


def test_training_starts_from_the_weights_of_a_native_checkpoint_in_an_archive(
    native: Path, records: Path, tmp_path: Path
) -> None:
    """From those in a folder: see `waltz` in tests/training/test_meter.py."""
    lines: list[str] = []
    losses: list[float] = []
    source = as_tar(native / "checkpoint", tmp_path / "model.tar")
    hparams = SMALL_HPARAMS.replace("batch_size=64", "batch_size=8,learning_rate=0.00001")
    options = one_step_from(source, records, tmp_path, hparams)
    result = train(options, lines.append, lambda progress: losses.append(progress.loss))
    assert result.step == 1
    assert losses[0] < 250  # from scratch it is over 500
    their_checkpoint = str(native / "checkpoint" / "model.ckpt-400")
    assert tf.train.list_variables(result.checkpoint) == tf.train.list_variables(their_checkpoint)
    start, theirs = values(str(tmp_path / "train" / "model.ckpt-0")), values(their_checkpoint)
    model = [n for n in theirs if "Adam" not in n and "_power" not in n and n != "global_step"]
    for name in model:
        np.testing.assert_array_equal(start[name], theirs[name])
    assert start["global_step"] == 0
    assert all((start[name] == 0).all() for name in start if "/Adam" in name)
    line = next(line for line in lines if "variables of the model" in line)
    slots = len(theirs) - len(model) - 1
    assert f"all {len(model)} variables" in line
    assert f"not loaded: {slots} variables of its optimizer, global_step" in line
    assert json.loads((tmp_path / "train" / "config.json").read_text())["init_checkpoint"]


def test_initial_weights_of_another_model_are_refused(
    groovae: Groovae, trained: Path, records: Path, tmp_path: Path
) -> None:
    """Other sizes and fewer layers: see test_groove_model.py."""
    result = groovae(
        "train",
        f"--examples_path={records}",
        f"--hparams={TINY_HPARAMS}",
        "--hparams=z_size=5,dec_rnn_size=[8,8]",
        f"--init_checkpoint={trained}",
        "--num_steps=1",
    )
    assert_one_line(result, 1, "encoder/mu/bias is [4], expected [5]", "z_size", "dec_rnn_size")
    assert find_checkpoint(tmp_path / ".train") is None


def test_damaged_initial_weights_are_refused(trained: Path, tmp_path: Path) -> None:
    source = shutil.copytree(trained, tmp_path / "source")
    data_file(source, 3).write_bytes(b"x" * data_file(source, 3).stat().st_size)
    weights = values(need_checkpoint(trained))
    with tf.Graph().as_default():
        variables = [
            tf.Variable(x, name=name) for name, x in weights.items() if name.endswith("bias")
        ]
    with pytest.raises(GroovaeError, match=r"model\.ckpt-3: this checkpoint is damaged"):
        read_initial_weights(need_checkpoint(source), variables, "groovae_4bar")


def test_file_of_an_export_is_not_an_archive() -> None:
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: .* exported model"):
        find_checkpoint(bundled.FOLDER / "decoder.onnx")
