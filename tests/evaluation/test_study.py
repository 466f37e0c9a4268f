"""How good a model is: by its own task, beside baselines, as a command that can stop a pipeline."""

import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_one_line, write_records

from groovae.cli.main import main
from groovae.config import config_map
from groovae.config.tasks import CONFIGS
from groovae.data.records import find
from groovae.data.source import DataSource
from groovae.data.windows import predicted_drums
from groovae.evaluation.intervals import HITS
from groovae.evaluation.study import Study, evaluate_model
from groovae.generation.groove_model import load_model
from groovae.metrics import scores
from groovae.training.losses import evaluate

TASKS = sorted(CONFIGS)
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def study(taught: Callable[[str], Path], few_records: Path) -> Study:
    """Of a small model that has learned the windows it is judged by."""
    data = DataSource(str(few_records))
    return evaluate_model(str(taught("reconstruct")), data, data, num_samples=20)


def test_a_study_holds_what_the_model_was_shown_and_what_it_made_of_it(study: Study) -> None:
    n = len(study.reference)
    assert n == study.results["windows"] > 100
    assert study.estimate.shape == study.reference.shape
    assert study.mu.shape == study.sigma.shape == (n, 8)
    assert len(study.sources) == len(study.tempo_qpm) == n
    assert len(study.samples) == 20
    assert len(study.interpolation) == 7
    assert study.training[-1]["step"] == 200
    assert study.about["config"] == study.config_name == "groovae_4bar"


def test_scores_are_those_of_the_metrics(study: Study) -> None:
    found = scores.evaluate(study.reference, study.estimate, study.tempo_qpm)
    for name, score in study.results["scores"].items():
        assert score["value"] == pytest.approx(found[name], rel=1e-12)
        assert score["low"] <= score["value"] <= score["high"]
    assert study.results["by_drum"]["snare"] == found["by_drum"]["snare"]


def test_a_model_that_has_learned_a_little_is_better_than_what_knows_nothing(study: Study) -> None:
    baselines = study.results["baselines"]
    assert baselines["most_common"]["all_hits"]["hit_f1"]["worse"] > 0.99
    assert baselines["on_grid"]["same_hits"]["timing_mae_ms"]["worse"] > 0.99
    assert baselines["mean"]["same_hits"]["velocity_mae"]["worse"] > 0.99


def test_baselines_look_perfect_on_what_they_are_fitted_on_and_this_is_told(
    taught: Callable[[str], Path], few_records: Path
) -> None:
    lines: list[str] = []
    data = DataSource(str(few_records))
    found = evaluate_model(str(taught("reconstruct")), data, data, num_samples=0, log=lines.append)
    assert any("look too good" in line for line in lines)
    assert any("look too good" in line for line in found.results["warnings"])
    nearest = found.results["baselines"]["nearest"]
    assert nearest["all_hits"]["hit_f1"]["value"] == 1
    assert found.results["samples"] is None


def test_what_is_told_of_the_same_hits_is_told_of_those_of_the_model(study: Study) -> None:
    """Worked out anew: the mean of |offset| over the hits that both have."""
    hits, there = (windows[..., :9] > 0.5 for windows in (study.reference, study.estimate))
    sixteenth_ms = 15_000 / study.tempo_qpm[:, np.newaxis, np.newaxis]
    late_ms = np.abs(study.reference[..., 18:]) / 2 * sixteenth_ms
    on_grid = study.results["baselines"]["on_grid"]
    for which, where in (("all_hits", hits), ("same_hits", hits & there)):
        found = on_grid[which]["timing_mae_ms"]["value"]
        assert found == pytest.approx(late_ms[where].mean(), rel=1e-6)


def test_the_same_seed_draws_the_same_samples_and_another_one_others(
    study: Study, taught: Callable[[str], Path]
) -> None:
    model = load_model(taught("reconstruct"), seed=0, batch_size=4)
    np.testing.assert_allclose(model.sample_tensors(20, 4, 0.5), study.samples, atol=1e-5)
    other = load_model(taught("reconstruct"), seed=1).sample_tensors(2, 4, 0.5)
    assert not np.array_equal(other, study.samples[:2])


def test_windows_are_played_as_grooves_are(study: Study, taught: Callable[[str], Path]) -> None:
    """The estimate of a window is what `reconstruct` makes of it."""
    model = load_model(taught("reconstruct"), seed=0)
    layout = model.layout
    window = study.reference[5]
    groove = model._groove(window, layout.split_bars, float(study.tempo_qpm[5]))
    again = model.split(model.reconstruct(groove)).outputs[0]
    expected = study.estimate[5]
    np.testing.assert_array_equal(again[:, :9], expected[:, :9])
    hit = expected[:, :9] > 0.5
    np.testing.assert_allclose(again[:, 9:18][hit], expected[:, 9:18][hit], atol=0.5 / 127)
    np.testing.assert_allclose(again[:, 18:][hit], expected[:, 18:][hit], atol=0.01)


def test_velocities_as_hits_are_louder(
    study: Study, taught: Callable[[str], Path], few_records: Path
) -> None:
    data = DataSource(str(few_records))
    loud = evaluate_model(str(taught("reconstruct")), data, data, num_samples=5, as_hits=True)
    np.testing.assert_array_equal(loud.estimate[..., :9], study.estimate[..., :9])
    hits = study.estimate[..., :9] > 0.5
    assert (loud.estimate[..., 9:18] >= study.estimate[..., 9:18] - 1e-6)[hits].all()
    assert loud.results["as_hits"]


@pytest.mark.parametrize("task", TASKS)
def test_a_model_for_a_task_is_scored_in_what_it_has_to_find(
    task: str, taught: Callable[[str], Path], few_records: Path
) -> None:
    data = DataSource(str(few_records))
    found = evaluate_model(str(taught(task)), data, data, num_samples=4)
    drawn = predicted_drums(config_map.layout(found.config_name))
    given = found.reference[..., :9][..., ~drawn] > 0.5
    np.testing.assert_array_equal(found.estimate[..., :9][..., ~drawn] > 0.5, given)
    told = set(HITS) & set(found.results["scores"])
    assert told == (set(HITS) if drawn.any() else set())
    if task == "add_hihat":
        assert list(found.results["by_drum"]) == ["closed hi-hat"]
    assert found.results["as_hits"]
    assert (found.results["samples"] is None) == (task != "tap2drum")


def test_one_recording_has_no_intervals_and_no_verdict(
    taught: Callable[[str], Path], few_records: Path, tmp_path: Path
) -> None:
    one = write_records(tmp_path / "one.tfrecord", next(iter(find(few_records))))
    found = evaluate_model(
        str(taught("reconstruct")),
        DataSource(str(one)),
        DataSource(str(few_records)),
        num_samples=0,
    ).results
    assert found["recordings"] == 1
    assert any("fewer than 5 recordings" in line for line in found["warnings"])
    assert np.isfinite(found["scores"]["hit_f1"]["value"])
    assert math.isnan(found["scores"]["hit_f1"]["low"])
    assert math.isnan(found["baselines"]["frequency"]["all_hits"]["hit_f1"]["worse"])


def test_copies_are_looked_for_among_the_windows_as_they_were_trained_on(study: Study) -> None:
    """It was trained on windows that start at each bar, and is judged by every fourth of them."""
    samples = study.results["samples"]
    assert samples["windows_trained_on"] > 3 * study.results["windows"]
    assert samples["copies_of_data"] == 1


# The command, in this process, which has TensorFlow already.


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = ["evaluate", *map(str, arguments)]
        code = main(words)
        return subprocess.CompletedProcess(words, code, *capsys.readouterr())

    return run


@pytest.fixture
def metrics_of(taught: Callable[[str], Path], few_records: Path) -> list[object]:
    """Arguments that evaluate a model by the windows it has learned."""
    return [
        *("--metrics", "--num_samples=5", "--checkpoint", taught("reconstruct")),
        *("--examples_path", few_records, "--baseline_examples_path", few_records),
    ]


def test_the_table_is_for_people_and_what_is_required_decides_the_exit_code(
    run: Run, metrics_of: list[object]
) -> None:
    good = run(*metrics_of, "--require=hit_f1>0.3", "--require=loss<1000")
    assert good.returncode == 0, good.stderr
    for word in ("hit F1", "the model", "nearest training window", "overlapped area", "recordings"):
        assert word in good.stdout
    bad = run(*metrics_of, "--require=hit_f1>0.3", "--require=timing_mae_ms<0.001")
    assert_one_line(bad, 3, "required: timing_mae_ms<0.001 does not hold: it is")
    assert bad.stdout == good.stdout  # the table is there all the same


def test_the_json_is_for_machines(
    run: Run, metrics_of: list[object], taught: Callable[[str], Path], few_records: Path
) -> None:
    result = run(*metrics_of, "--json", "--require=samples.copees<0.5")
    assert_one_line(result, 2, "samples.copies")
    found = json.loads(result.stdout)
    losses = evaluate(str(taught("reconstruct")), DataSource(str(few_records))).losses
    assert found["losses"] == pytest.approx(losses, rel=1e-5)
    assert found["scores"]["hit_f1"]["value"] > 0.4
    assert found["baselines"]["mean"]["all_hits"]["velocity_correlation"]["value"] is None


def test_losses_can_be_required_without_the_metrics(run: Run, trained: Path, records: Path) -> None:
    arguments = ["--checkpoint", trained, "--examples_path", records]
    assert run(*arguments, "--require=loss<100000").returncode == 0
    both = run(*arguments, "--require=loss<1", "--require=losses/kl_bits<1e9")
    assert_one_line(both, 3, "required: loss<1")


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--require=timing_mae_ms"], "timing_mae_ms<20"),
        (["--metrics", "--watch"], "--watch"),
        (["--num_samples=3"], "--metrics"),
        (["--as_hits"], "--metrics"),
        (["--metrics", "--temperature=-1"], "temperature"),
    ],
)
def test_a_wrong_call_is_told_before_anything_is_read(
    flags: list[str], word: str, run: Run
) -> None:
    assert_one_line(run(*flags), 2, word)


def test_a_typo_in_a_condition_is_told_before_anything_is_read(run: Run) -> None:
    assert_one_line(run("--metrics", "--require=hit_f2>0.3"), 2, "hit_f1")
    assert_one_line(run("--require=hit_f1>0.3"), 2, "--metrics")
    assert_one_line(run("--require=kl_bits<3"), 2, "did you mean losses/kl_bits")


def test_missing_baseline_records_are_told_by_their_flag(
    run: Run, trained: Path, records: Path
) -> None:
    result = run(
        *("--metrics", "--checkpoint", trained, "--examples_path", records),
        "--baseline_examples_path=gone.tfrecord",
    )
    assert_one_line(result, 1, "gone.tfrecord", "--baseline_examples_path")
