"""Evaluation: each window once, the losses of native Magenta, every config, errors in one line."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL_HPARAMS, Groovae, a_groove, assert_one_line, write_records

from groovae.cli.commands.evaluate import _format_losses
from groovae.config import config_map
from groovae.data import window_cache
from groovae.data.batches import Batch, evaluation_batches
from groovae.data.records import find
from groovae.data.source import DataSource
from groovae.model.checkpoints import need_checkpoint
from groovae.training import losses
from groovae.training.losses import LOSSES, Evaluation, Evaluator
from groovae.upstream import tf

pytestmark = pytest.mark.usefixtures("equal_batches")


@pytest.fixture(name="groovae")
def groovae_in_process(in_process: Groovae) -> Groovae:
    """The command line in this process, which saves the import of TensorFlow."""
    return in_process


def evaluated(checkpoint: Path, records: Path, **data: bool | int) -> Evaluation:
    return losses.evaluate(str(checkpoint), DataSource(str(records), **data))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evaluation(equal_batches: None, trained: Path, records: Path) -> Evaluation:
    return evaluated(trained, records)


def test_each_window_counts_once_in_batches_of_any_size(
    evaluation: Evaluation, trained: Path, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(losses, "BATCH_SIZE", 7)  # and 4 at the end
    monkeypatch.setattr(losses, "evaluation_batches", evaluation_batches)
    found = evaluated(trained, records)
    assert found.windows == evaluation.windows == 200
    assert found.losses == pytest.approx(evaluation.losses, rel=1e-5)


def test_loss_is_the_sum_of_its_parts(evaluation: Evaluation) -> None:
    losses = evaluation.losses
    beta, kl_cost = losses["losses/kl_beta"], losses["losses/kl_loss"]
    assert losses["loss"] == pytest.approx(losses["losses/r_loss"] + beta * kl_cost)
    parts = [losses[f"metrics/{part}_loss"] for part in ("hits", "velocities", "offsets")]
    assert losses["losses/r_loss"] == pytest.approx(64 * sum(parts), rel=1e-5)


def test_weight_of_the_kl_cost_depends_on_the_step(trained: Path, tmp_path: Path) -> None:
    """Also, windows overlap with a smaller hop."""
    train_dir = shutil.copytree(trained, tmp_path / "train")
    config = json.loads((train_dir / "config.json").read_text())
    config["hparams"] |= {"beta_rate": 0.5, "max_beta": 0.2}
    (train_dir / "config.json").write_text(json.dumps(config))
    one = write_records(tmp_path / "one.tfrecord", a_groove(12))
    found = evaluated(train_dir, one, hop_bars=1)
    assert found.losses["losses/kl_beta"] == pytest.approx(0.2 * (1 - 0.125))
    assert found.windows == 9


@pytest.fixture(scope="module")
def golden() -> dict[str, dict[str, float]]:
    """The losses of native Magenta's `model.eval` for its reference checkpoint, with z = mu."""
    return json.loads((Path(__file__).parent / "native_losses.json").read_text())


def test_losses_of_the_test_split_equal_native_magenta(
    golden: dict[str, dict[str, float]],
    native: Path,
    gmd_test_records: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(losses, "evaluation_batches", evaluation_batches)  # of 128, and one of 14
    data = DataSource(str(gmd_test_records))
    found = losses.evaluate(str(native / "checkpoint"), data, hparams=SMALL_HPARAMS)
    expected = golden["test_split"]
    assert found.windows == expected["windows"] == 526
    for name in LOSSES:
        assert found.losses[name] == pytest.approx(expected[name], rel=1e-4), name


def test_losses_of_batches_equal_native_magenta(
    golden: dict[str, dict[str, float]], native: Path
) -> None:
    """With z = mu they are also close to Magenta's own, which are means over sampled z."""
    windows = np.load(native / "native_outputs.npz")["inputs"]
    session = losses._Session(config_map.get_config(hparams=SMALL_HPARAMS), 8)
    session.restore(str(native / "checkpoint" / "model.ckpt-400"), "groovae_4bar")
    found = []
    for part in np.split(windows, 2):
        lengths = np.full(8, 64, np.int32)
        found.append(session.losses(Batch(part, part, part[..., :0], lengths)))
    session.close()
    for name in LOSSES:
        mean = np.mean([loss[name] for loss in found])
        for kind in ("batch_of_16", "batches_of_8"):
            assert mean == pytest.approx(golden[kind][name], rel=1e-4), name
        assert mean == pytest.approx(golden["draws"][name], rel=0.02), name


def test_evaluate_command_prints_a_table_or_json(
    groovae: Groovae, evaluation: Evaluation, trained: Path, records: Path
) -> None:
    flags = [f"--checkpoint={trained}", f"--examples_path={records}"]
    result = groovae("evaluate", *flags, "--json", "--require=loss<100000")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == evaluation.as_dict()  # the same each time
    assert (found["step"], found["config"], found["windows"]) == (3, "groovae_4bar", 200)
    assert list(found["losses"]) == list(LOSSES)
    table = _format_losses(evaluation)
    assert "200 windows, z = mu" in table
    for name, loss in found["losses"].items():
        assert f"{loss:.4f}  {name}" in table


def test_no_windows_are_one_error(groovae: Groovae, trained: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "short.tfrecord", a_groove(bars=2))
    result = groovae("evaluate", f"--checkpoint={trained}", "--examples_path=short.tfrecord")
    assert_one_line(result, 1, "short.tfrecord", "no window")


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 1, [".train", "groovae train"]),
        (["--checkpoint={trained}"], 1, ["data_dir/music-validation.tfrecord", "preprocess"]),
        (["--checkpoint={trained}", "--hparams=z_size=9"], 2, ["z_size is 4, not 9"]),
        (["--checkpoint={trained}/model.ckpt-9"], 1, ["model.ckpt-9"]),
        (["--tfds_name=a", "--examples_path=b"], 2, ["--tfds_name", "--examples_path"]),
        (["more"], 2, ["unexpected argument"]),
    ],
)
def test_invalid_calls_are_one_line(
    groovae: Groovae, trained: Path, flags: list[str], code: int, words: list[str]
) -> None:
    flags = [flag.format(trained=trained) for flag in flags]
    assert_one_line(groovae("evaluate", *flags), code, *words)


def test_global_step_is_read_from_the_name_of_a_checkpoint_without_one(
    evaluation: Evaluation, trained: Path, records: Path, tmp_path: Path
) -> None:
    """Google's checkpoints may hold only the model."""
    weights_only(need_checkpoint(trained), tmp_path / "model.ckpt-3")
    name, config = config_map.resolve_config(trained, None, "")
    windows = window_cache.load(find(records), config_map.layout(config), tmp_path)
    found = Evaluator(name, config, windows).evaluate(str(tmp_path / "model.ckpt-3"))
    assert (found.step, found.losses) == (3, evaluation.losses)


def weights_only(checkpoint: str, prefix: Path) -> None:
    """Save a checkpoint's model without step and optimizer."""
    reader = tf.train.load_checkpoint(checkpoint)
    names = [
        name
        for name in reader.get_variable_to_shape_map()
        if name != "global_step" and not name.endswith("_power") and "/Adam" not in name
    ]
    with tf.Graph().as_default(), tf.Session() as session:
        saver = tf.train.Saver([tf.Variable(reader.get_tensor(name), name=name) for name in names])
        session.run(tf.global_variables_initializer())
        saver.save(session, str(prefix), write_meta_graph=False)
