"""Evaluation of trained models, and `groovae evaluate --metrics` as a gate for pipelines."""

import functools
import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_HPARAMS, Export, Groovae, a_groove, assert_one_line, write_records
from web_export import export_random_onnx

from groovae.cli.commands import evaluate as command
from groovae.config import config_map
from groovae.config.config_map import CONFIG_MAP
from groovae.config.tasks import CONFIGS, config_for
from groovae.data.records import find
from groovae.data.source import DataSource
from groovae.data.styles import styles_of
from groovae.data.windows import predicted_drums
from groovae.evaluation.intervals import HITS
from groovae.evaluation.study import Study, evaluate_model
from groovae.evaluation.tables import tables
from groovae.generation.loading import load_model
from groovae.generation.networks import load_network, prior_path
from groovae.metrics import scores
from groovae.metrics.structure import LABELS, structure
from groovae.metrics.style_classifier import STYLES
from groovae.model.prior import Prior, write_prior
from groovae.report.summary import originality

pytestmark = pytest.mark.usefixtures("equal_batches")

TASKS = sorted(CONFIGS)
GIVEN_CONTEXT = (
    *("groovae_2bar_tap_context", "groovae_2bar_add_closed_hh_context"),
    "groovae_2bar_transfer_hits",
)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """The log of `study`."""
    return []


@pytest.fixture(scope="module")
def study(
    equal_batches: None, trained_for: Callable[[str], Path], few_records: Path, lines: list[str]
) -> Study:
    """A small model, evaluated on the windows that it was trained on."""
    data = DataSource(str(few_records))
    return evaluate_model(
        str(trained_for("reconstruct")), data, data, num_samples=20, log=lines.append
    )


@pytest.fixture(scope="module")
def six_records(few_records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six of the performances that the models are trained on: 125 windows, or 252 of two bars."""
    path = tmp_path_factory.mktemp("six") / "six.tfrecord"
    return write_records(path, *itertools.islice(find(few_records), 6))


@pytest.fixture(scope="module")
def study_of(
    equal_batches: None, trained_for: Callable[[str], Path], six_records: Path
) -> Callable[[str], Study]:
    """Returns the study of a task's model on `six_records`, which is made once."""
    data = DataSource(str(six_records))

    @functools.cache
    def study(task: str) -> Study:
        return evaluate_model(str(trained_for(task)), data, data, num_samples=4)

    return study


def test_study_holds_windows_predictions_and_samples(study: Study) -> None:
    n = len(study.reference)
    assert n == study.results["windows"] > 100
    assert study.predictions.shape == study.reference.shape
    assert study.mu.shape == study.sigma.shape == (n, 8)
    assert len(study.sources) == len(study.tempo_qpm) == n
    assert len(study.samples) == 20
    assert len(study.interpolation) == 7
    assert study.training[-1]["step"] == study.step == 200
    assert study.training_config["config"] == study.config_name == "groovae_4bar"


def test_scores_match_the_metrics(study: Study) -> None:
    found = scores.evaluate(study.reference, study.predictions, study.tempo_qpm)
    for name, score in study.results["scores"].items():
        assert score["value"] == pytest.approx(found[name], rel=1e-12)
        assert score["low"] <= score["value"] <= score["high"]
    assert study.results["by_drum"]["snare"] == found["by_drum"]["snare"]


def test_trained_model_beats_simple_baselines(study: Study) -> None:
    baselines = study.results["baselines"]
    assert baselines["most_common"]["all_hits"]["hit_f1"]["worse"] > 0.99
    assert baselines["on_grid"]["same_hits"]["timing_mae_ms"]["worse"] > 0.99
    assert baselines["mean"]["same_hits"]["velocity_mae"]["worse"] > 0.99


def test_baselines_fitted_on_the_evaluated_windows_warn(study: Study, lines: list[str]) -> None:
    for text in (lines, study.results["warnings"]):
        assert any("baselines are fitted on the evaluated windows" in line for line in text)
    assert study.baselines_share_windows
    assert study.results["baselines"]["nearest"]["all_hits"]["hit_f1"]["value"] == 1


def test_baseline_timing_on_all_and_on_matching_hits(study: Study) -> None:
    """The mean of |offset| over these hits, computed independently."""
    hits, predicted = (windows[..., :9] > 0.5 for windows in (study.reference, study.predictions))
    sixteenth_ms = 15_000 / study.tempo_qpm[:, np.newaxis, np.newaxis]
    late_ms = np.abs(study.reference[..., 18:]) / 2 * sixteenth_ms
    on_grid = study.results["baselines"]["on_grid"]
    for key, where in (("all_hits", hits), ("same_hits", hits & predicted)):
        found = on_grid[key]["timing_mae_ms"]["value"]
        assert found == pytest.approx(late_ms[where].mean(), rel=1e-6)


def test_seed_determines_the_samples(study: Study, exported: Export) -> None:
    model = load_model(exported("reconstruct"), seed=0, batch_size=4)
    np.testing.assert_allclose(model.sample_tensors(20, 4, 0.5), study.samples, atol=1e-5)
    other = load_model(exported("reconstruct"), seed=1).sample_tensors(2, 4, 0.5)
    assert not np.array_equal(other, study.samples[:2])


def test_samples_are_compared_in_structure(study: Study) -> None:
    samples = study.results["samples"]
    assert samples["prior"] == study.prior == "standard"
    assert samples["structure"] == structure(study.samples)
    assert samples["structure_of_data"] == structure(study.reference)
    (table,) = (one for one in tables(study.results) if "samples" in one.title)
    assert "standard prior" in table.title
    shown = {row[0]: row[1:3] for row in table.rows}
    for name, label in LABELS.items():
        values = [samples[group][name] for group in ("structure", "structure_of_data")]
        assert shown[label] == [f"{value:.3f}" for value in values]
        assert label.lower() in originality(study.results).lower()


def test_samples_are_drawn_from_the_fitted_prior_of_the_model(
    exported: Export, six_records: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported("reconstruct"), tmp_path / "copy"))
    network = load_network(folder, None, "", None, 4)
    ones = np.ones((1, network.z_size), np.float32)
    names = styles_of([sequence.filename for sequence in find(six_records)])
    first, second, *_ = sorted({*names} & {*STYLES})
    prior = Prior(np.ones(1, np.float32), ones, 0.5 * ones, (first,), network.fingerprint(), 100)
    write_prior(prior_path(network), prior)
    data = DataSource(str(six_records))
    found = evaluate_model(str(folder), data, data, num_samples=4)
    assert found.results["samples"]["prior"] == "fitted"
    styles = found.results["samples"]["styles"]
    assert {first, second} <= set(styles)
    assert 0 <= styles[first]["samples_of_style"] <= 1
    assert styles[second]["samples_of_style"] is None
    for group in ("samples", "data"):
        assert sum(found[group] for found in styles.values()) == pytest.approx(1)
    model = load_model(folder, seed=0, batch_size=4)
    np.testing.assert_allclose(model.sample_tensors(4, 4, 0.5), found.samples, atol=1e-5)
    model.reset_random()
    standard = model.sample_tensors(4, 4, 0.5, prior="standard")
    assert not np.array_equal(standard, found.samples)


def test_predictions_match_reconstruct(study: Study, exported: Export) -> None:
    model = load_model(exported("reconstruct"), seed=0)
    groove = model._groove(study.reference[5], model.layout.split_bars, float(study.tempo_qpm[5]))
    again = model.split(model.reconstruct(groove)).outputs[0]
    expected = study.predictions[5]
    np.testing.assert_array_equal(again[:, :9], expected[:, :9])
    hit = expected[:, :9] > 0.5
    np.testing.assert_allclose(again[:, 9:18][hit], expected[:, 9:18][hit], atol=0.5 / 127)
    np.testing.assert_allclose(again[:, 18:][hit], expected[:, 18:][hit], atol=0.01)


def test_as_hits_raises_velocities(study: Study, exported: Export) -> None:
    assert study.results["as_hits"]
    model = load_model(exported("reconstruct"), seed=0, batch_size=8, as_hits=False)
    averaged, as_hits = model.predict_windows(study.reference[:8])[0], study.predictions[:8]
    np.testing.assert_array_equal(averaged[..., :9], as_hits[..., :9])
    hits = as_hits[..., :9] > 0.5
    raised = (as_hits - averaged)[..., 9:18][hits]
    assert (raised >= -1e-6).all()
    assert raised.max() > 0.01


def test_every_config_is_trained_and_evaluated() -> None:
    """By the next tests, by `study`, or in test_train_faults.py, test_hooks.py, test_bundled.py."""
    others = {"groovae_4bar", "groovae_2bar", "groovae_2bar_tap_fixed_velocity_note_dropout"}
    others |= {"groovae_2bar_humanize_hits", *GIVEN_CONTEXT}
    assert {config_for(task) for task in TASKS} | others == set(CONFIG_MAP)


@pytest.mark.parametrize("task", TASKS)
def test_task_models_are_scored_on_their_predictions(
    task: str, study_of: Callable[[str], Study]
) -> None:
    found = study_of(task)
    assert found.config_name == config_for(task)
    assert np.isfinite(list(found.results["losses"].values())).all()
    predicted = predicted_drums(config_map.layout(found.config_name))
    given = found.reference[..., :9][..., ~predicted] > 0.5
    np.testing.assert_array_equal(found.predictions[..., :9][..., ~predicted] > 0.5, given)
    scored = set(HITS) & set(found.results["scores"])
    assert scored == (set(HITS) if predicted.any() else set())
    if task == "add_hihat":
        assert list(found.results["by_drum"]) == ["closed hi-hat"]
    assert found.results["as_hits"]
    assert (found.results["samples"] is None) == (task != "tap2drum")


@pytest.mark.parametrize("task", ["tap2drum", "humanize"])
def test_exports_have_the_scores_of_their_checkpoint(
    task: str, study_of: Callable[[str], Study], exported: Export, six_records: Path
) -> None:
    data = DataSource(str(six_records))
    theirs, ours = study_of(task), evaluate_model(str(exported(task)), data, data, num_samples=4)
    assert ours.results["losses"] == {}
    assert (ours.step, ours.config_name) == (theirs.step, theirs.config_name)
    assert ours.training_config["hparams"] == theirs.training_config["hparams"]
    found, expected = (each.results["scores"] for each in (ours, theirs))
    assert found.keys() == expected.keys()
    for name, score in found.items():
        assert score["value"] == pytest.approx(expected[name]["value"], rel=1e-4)
    np.testing.assert_allclose(ours.samples, theirs.samples, atol=1e-5)
    assert ours.results["latent"]["kl_bits"] == pytest.approx(
        theirs.results["latent"]["kl_bits"], rel=1e-4
    )


@pytest.mark.parametrize("config", GIVEN_CONTEXT)
def test_models_that_are_given_their_input_are_not_sampled(
    config: str, six_records: Path, tmp_path: Path
) -> None:
    layered = TINY_HPARAMS.replace("dec_rnn_size=[8]", "dec_rnn_size=[8,8]")  # predicts some hits
    export = export_random_onnx(tmp_path, config, layered).folder
    data = DataSource(str(six_records))
    found = evaluate_model(str(export), data, data, num_samples=4).results
    assert (found["config"], found["samples"]) == (config, None)
    assert np.isfinite(found["scores"]["timing_mae_ms"]["value"])


def test_single_recording_has_no_intervals(
    exported: Export, six_records: Path, tmp_path: Path
) -> None:
    one = write_records(tmp_path / "one.tfrecord", next(iter(find(six_records))))
    found = evaluate_model(
        str(exported("reconstruct")),
        DataSource(str(one)),
        DataSource(str(six_records)),
        num_samples=0,
    ).results
    assert found["recordings"] == 1
    assert any("fewer than 5 recordings" in line for line in found["warnings"])
    assert np.isfinite(found["scores"]["hit_f1"]["value"])
    assert math.isnan(found["scores"]["hit_f1"]["low"])
    assert math.isnan(found["baselines"]["frequency"]["all_hits"]["hit_f1"]["worse"])
    assert found["samples"] is None


def test_copies_are_searched_in_the_windows_of_the_training(study: Study) -> None:
    """The model was trained with a hop of one bar, and is evaluated with a hop of four."""
    samples = study.results["samples"]
    assert samples["windows_trained_on"] > 3 * study.results["windows"]
    assert samples["copies_of_data"] == 1


# The command


def test_unmet_condition_gives_exit_code_3_after_the_tables(
    in_process: Groovae, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The study is made already."""
    monkeypatch.setattr(command, "evaluate_from_flags", lambda *arguments: study)
    required = ["hit_f1>0.3", "loss<1000", "timing_mae_ms<0.001"]
    result = in_process(
        "evaluate", "--metrics", *(f"--require={condition}" for condition in required)
    )
    assert_one_line(result, 3, "timing_mae_ms<0.001")
    assert not any(condition in result.stderr for condition in required[:2])
    for word in ("hit F1", "the model", "nearest training window", "overlapped area", "recordings"):
        assert word in result.stdout


def test_json_output(
    in_process: Groovae,
    trained_for: Callable[[str], Path],
    six_records: Path,
    study_of: Callable[[str], Study],
) -> None:
    result = in_process(
        *("evaluate", "--metrics", "--num_samples=5", "--json", "--require=samples.copees<0.5"),
        *("--checkpoint", trained_for("tap2drum")),
        *("--examples_path", six_records, "--baseline_examples_path", six_records),
    )
    assert_one_line(result, 2, "samples.copies")
    found = json.loads(result.stdout)
    expected = study_of("tap2drum").results
    assert found["losses"] == pytest.approx(expected["losses"], rel=1e-5)
    assert found["scores"]["hit_f1"]["value"] == expected["scores"]["hit_f1"]["value"]
    assert found["baselines"]["mean"]["all_hits"]["velocity_correlation"]["value"] is None


def test_losses_can_be_required_without_metrics(
    in_process: Groovae, trained: Path, tmp_path: Path
) -> None:
    """One that is met is in test_losses.py."""
    one = write_records(tmp_path / "one.tfrecord", a_groove())
    command = ["evaluate", "--checkpoint", trained, "--examples_path", one]
    both = in_process(*command, "--require=loss<1", "--require=losses/kl_bits<1e9")
    assert_one_line(both, 3, "loss<1")
    assert "kl_bits<" not in both.stderr


def test_losses_of_an_export_are_refused(in_process: Groovae, records: Path) -> None:
    result = in_process("evaluate", "--checkpoint=groovae_4bar", "--examples_path", records)
    assert_one_line(result, 2, "no losses", "--metrics", "groovae import")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--require=timing_mae_ms"], "timing_mae_ms<20"),
        (["--metrics", "--watch"], "--watch"),
        (["--num_samples=3"], "--metrics"),
        (["--as_hits"], "--metrics"),
        (["--metrics", "--temperature=-1"], "temperature"),
        (["--metrics", "--require=hit_f2>0.3"], "hit_f1"),
        (["--require=hit_f1>0.3"], "--metrics"),
        (["--require=kl_bits<3"], "losses/kl_bits"),
    ],
)
def test_usage_errors_are_found_before_reading(
    flags: list[str], word: str, in_process: Groovae
) -> None:
    assert_one_line(in_process("evaluate", *flags), 2, word)


def test_missing_baseline_records_name_their_flag(
    in_process: Groovae, trained: Path, records: Path
) -> None:
    result = in_process(
        *("evaluate", "--metrics", "--checkpoint", trained, "--examples_path", records),
        "--baseline_examples_path=gone.tfrecord",
    )
    assert_one_line(result, 1, "gone.tfrecord", "--baseline_examples_path")
