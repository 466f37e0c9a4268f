"""Samples from the fitted and the standard prior, and the file of a prior beside its model."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Groovae, assert_one_line

from groovae.errors import GroovaeError, UsageError
from groovae.generation.bundled import FOLDER
from groovae.generation.loading import load_model
from groovae.model import latent, prior_fit
from groovae.model.archives import unpacked
from groovae.model.onnx_network import OnnxNetwork
from groovae.model.prior import PRIOR_FILE, ForeignPrior, read_prior

AS_BEFORE: dict[str, Any] = {"as_hits": False, "feel": "mean"}  # as before these were options


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the bundled model, with its prior."""
    return Path(shutil.copytree(FOLDER, tmp_path / "copy"))


@pytest.fixture
def few_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fit a prior to the 200 windows of `records`."""
    monkeypatch.setattr(prior_fit, "MIN_WINDOWS", 50)


def by_hand(folder: Path, seed: int, bars: int, drift: float) -> np.ndarray:
    """Two samples from N(0, I), as before there were fitted priors."""
    network, rng = OnnxNetwork(folder), np.random.RandomState(seed)
    samples = []
    for _ in range(2):
        z = latent.chain(bars // 4, network.z_size, drift, rng)
        thresholds = latent.thresholds((len(z), 64, 9), 0.5, rng)
        samples.append(network.decode(z, thresholds, thresholds[..., :0])[0].reshape(-1, 27))
    return np.stack(samples)


def test_standard_prior_gives_what_sample_gave_before_fitted_priors(copy: Path) -> None:
    expected = by_hand(FOLDER, seed=5, bars=8, drift=0.3)
    model = load_model(FOLDER, seed=5, **AS_BEFORE)
    np.testing.assert_array_equal(
        model.sample_tensors(2, 8, 0.5, drift=0.3, prior="standard"), expected
    )
    (copy / PRIOR_FILE).unlink()
    without = load_model(copy, seed=5, **AS_BEFORE)
    assert without.fitted_prior is None
    np.testing.assert_array_equal(without.sample_tensors(2, 8, 0.5, drift=0.3), expected)


def test_fitted_prior_is_the_default_and_repeats_by_seed() -> None:
    model = load_model(FOLDER, seed=5)
    first = model.sample_tensors(2, 8)
    model.reset_random()
    np.testing.assert_array_equal(model.sample_tensors(2, 8, prior="fitted"), first)
    model.reset_random()
    np.testing.assert_array_equal(model.sample_tensors(1, 8), first[:1])
    model.reset_random()
    assert (model.sample_tensors(2, 8, style="jazz") != first).any()


def hits_per_bar(windows: np.ndarray) -> float:
    return float((windows[..., :9] > 0.5).sum() / (len(windows) * windows.shape[1] / 16))


def test_density_is_that_of_a_quantile_of_the_training_windows() -> None:
    model = load_model(FOLDER, seed=5, batch_size=64)
    prior = model.fitted_prior
    assert prior is not None
    for density in (0.2, 0.5, 0.8):
        windows = model.sample_tensors(4, 4, density=density)
        assert hits_per_bar(windows) == pytest.approx(prior.hits_per_bar(density), abs=2)
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(UsageError):
            model.sample(density=wrong)
    with pytest.raises(UsageError):
        model.sample(density=0.5, prior="standard")


def test_styles_mix() -> None:
    model = load_model(FOLDER, seed=5)
    funk = model.sample_tensors(1, 8, style="funk")
    model.reset_random()
    np.testing.assert_array_equal(model.sample_tensors(1, 8, style={"funk": 2.0}), funk)
    model.reset_random()
    mixed = model.sample_tensors(1, 8, style="funk:0.7,jazz:0.3")
    assert (mixed != funk).any()
    model.reset_random()
    by_dict = model.sample_tensors(1, 8, style={"funk": 7, "jazz": 3})
    np.testing.assert_allclose(by_dict, mixed, atol=1e-5)
    for wrong in ("funk:x", "funk:-1", "funk:0", "funk:0.5,polka:0.5", "", ","):
        with pytest.raises(UsageError):
            model.sample(style=wrong)


def test_samples_like_a_groove_drift_away_from_it() -> None:
    model = load_model(FOLDER, seed=5, batch_size=8)
    groove = model.sample(1, style="punk")[0]
    (reconstruction,) = model.decode(model.encode(groove), temperature=0)
    f1s = []
    for drift in (0.0, 0.3, 1.0):
        model.reset_random()
        near = model.sample(4, temperature=0, drift=drift, like=groove)
        f1s.append(np.mean([model.compare(reconstruction, one)["hit_f1"] for one in near]))
    assert f1s[0] == pytest.approx(1, abs=0.02)
    assert f1s[0] > f1s[1] > f1s[2]
    with pytest.raises(UsageError):
        model.sample(like=groove, style="funk")


def test_vary_moves_towards_more_or_less(copy: Path) -> None:
    model = load_model(FOLDER, seed=5, batch_size=8)
    groove = model.sample(1, bars=16)[0]
    numbers = [
        len(model.vary(groove, 0.8, less="density")[0].notes),
        len(model.vary(groove, 0.8, more="density")[0].notes),
    ]
    assert numbers[0] < len(model.reconstruct(groove).notes) < numbers[1]
    for wrong in ({"more": "cowbell"}, {"more": "density", "less": "density"}):
        with pytest.raises(UsageError):
            model.vary(groove, **wrong)  # type: ignore[arg-type]
    (copy / PRIOR_FILE).unlink()
    with pytest.raises(UsageError, match="fit_prior"):
        load_model(copy, seed=5).vary(groove, more="density")


def test_drift_0_repeats_the_segment() -> None:
    model = load_model(FOLDER, seed=5, feel="mean")
    (groove,) = model.sample_tensors(1, 12, temperature=0, drift=0)
    first, *others = groove.reshape(3, 64, 27)
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_bundled_prior_fits_the_bundled_model() -> None:
    prior = load_model(FOLDER, seed=1).fitted_prior
    assert prior is not None
    assert {"density", "syncopation", "fill"} == prior.directions.keys()
    assert {"rock", "funk", "jazz", "latin", "hiphop", "soul", "punk"} <= prior.shares().keys()
    assert (FOLDER / PRIOR_FILE).stat().st_size < 300_000


@pytest.mark.parametrize(
    "wrong", [{"prior": "normal"}, {"style": "polka"}, {"prior": "standard", "style": "funk"}]
)
def test_wrong_priors_and_styles_are_usage_errors(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        load_model(FOLDER, seed=1).sample(**wrong)  # type: ignore[arg-type]


def test_a_model_without_a_prior_has_no_styles(copy: Path) -> None:
    (copy / PRIOR_FILE).unlink()
    model = load_model(copy, seed=1)
    for asked in ({"prior": "fitted"}, {"style": "funk"}):
        with pytest.raises(UsageError, match="fit_prior"):
            model.sample(**asked)  # type: ignore[arg-type]


def test_the_prior_of_another_model_is_used_only_if_it_fits(copy: Path) -> None:
    content = (copy / PRIOR_FILE).read_bytes()
    fingerprint = OnnxNetwork(FOLDER).fingerprint().encode()
    (copy / PRIOR_FILE).write_bytes(content.replace(fingerprint, 64 * b"0"))
    lines: list[str] = []
    model = load_model(copy, seed=5, log=lines.append, **AS_BEFORE)
    np.testing.assert_array_equal(
        model.sample_tensors(2, 8, drift=0.3), by_hand(FOLDER, 5, bars=8, drift=0.3)
    )
    model.sample()
    assert len(lines) == 1
    for asked in ({"prior": "fitted"}, {"style": "funk"}):
        with pytest.raises(ForeignPrior):
            model.sample(**asked)  # type: ignore[arg-type]


def test_a_damaged_prior_is_an_error_unless_it_is_not_used(copy: Path) -> None:
    (copy / PRIOR_FILE).write_bytes((copy / PRIOR_FILE).read_bytes()[:-1])
    model = load_model(copy, seed=5)
    for prior in (None, "fitted"):
        with pytest.raises(GroovaeError, match=PRIOR_FILE):
            model.sample(prior=prior)
    assert len(model.sample(prior="standard")) == 1


def test_sample_command_reports_prior_and_style(
    in_process: Groovae, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, drawn in (
        ([], ("fitted", None)),
        (["--prior=standard"], ("standard", None)),
        (["--style=funk"], ("fitted", "funk")),
    ):
        played = in_process("sample", f"--checkpoint={FOLDER}", "--json", "--seed=1", *arguments)
        assert played.returncode == 0, played.stderr
        fields = json.loads(played.stdout)
        assert (fields["prior"], fields["style"]) == drawn
    unknown = in_process("sample", f"--checkpoint={FOLDER}", "--style=polka", "--seed=1")
    assert unknown.returncode == 2
    assert "funk" in unknown.stderr
    assert "rock" in unknown.stderr


def test_fit_prior_command_writes_the_same_file_twice(
    in_process: Groovae, copy: Path, records: Path, few_windows: None
) -> None:
    contents = []
    for _ in range(2):
        fitted = in_process("fit_prior", f"--checkpoint={copy}", f"--examples_path={records}")
        assert fitted.returncode == 0, fitted.stderr
        assert fitted.stdout == f"{copy / PRIOR_FILE}\n"
        contents.append((copy / PRIOR_FILE).read_bytes())
    assert contents[0] == contents[1] != (FOLDER / PRIOR_FILE).read_bytes()
    prior = load_model(copy, seed=1).fitted_prior
    assert prior is not None
    assert 150 < prior.windows <= 200
    assert np.isfinite(prior.means).all()


def test_too_few_windows_leave_the_prior_as_it_was(
    in_process: Groovae, copy: Path, records: Path
) -> None:
    content = (copy / PRIOR_FILE).read_bytes()
    refused = in_process("fit_prior", f"--checkpoint={copy}", f"--examples_path={records}")
    assert refused.returncode == 2
    assert f"{prior_fit.MIN_WINDOWS} windows" in refused.stderr
    assert (copy / PRIOR_FILE).read_bytes() == content


def test_info_lists_the_styles(in_process: Groovae, copy: Path) -> None:
    about = json.loads(in_process("info", copy, "--json").stdout)
    assert about["z_size"] == 128
    assert sum(about["prior"]["styles"].values()) == pytest.approx(1, abs=0.02)
    assert about["prior"]["directions"] == ["density", "fill", "syncopation"]
    shown = in_process("info", copy)
    assert "neworleans" in shown.stdout
    assert "syncopation" in shown.stdout
    (copy / PRIOR_FILE).unlink()
    assert json.loads(in_process("info", copy, "--json").stdout)["prior"] is None
    (copy / "config.json").write_text("[]")
    assert_one_line(in_process("info", copy), 1, "config.json")


def test_training_fits_a_prior_that_export_copies(
    in_process: Groovae, trained: Path, records: Path, tmp_path: Path, few_windows: None
) -> None:
    """The training is finished already, and lacks a prior."""
    train_dir, out = Path(shutil.copytree(trained, tmp_path / "train")), tmp_path / "out"
    arguments = [f"--train_dir={train_dir}", f"--examples_path={records}", "--num_steps=3"]
    for flag, is_fitted in (("--nofit_prior", False), ("--fit_prior", True)):
        result = in_process("train", *arguments, flag)
        assert result.returncode == 0, result.stderr
        assert (train_dir / PRIOR_FILE).exists() == is_fitted
    prior = load_model(train_dir, seed=1).fitted_prior
    assert prior is not None
    assert prior.z_size == 4
    about = json.loads(in_process("info", train_dir, "--json").stdout)
    assert about["prior"]["windows"] == prior.windows
    pytest.importorskip("onnx")
    for _ in range(2):  # the second time it replaces the first export
        exported = in_process("export", f"--checkpoint={train_dir}", f"--out={out}")
        assert exported.returncode == 0, exported.stderr
    copied = read_prior(out / PRIOR_FILE, 4, OnnxNetwork(out).fingerprint())
    assert copied is not None
    np.testing.assert_array_equal(copied.means, prior.means)


def test_the_prior_of_an_archive_is_kept_where_it_is_unpacked(
    in_process: Groovae,
    trained: Path,
    records: Path,
    tmp_path: Path,
    few_windows: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "folder"
    shutil.copytree(trained, folder, ignore=shutil.ignore_patterns("eval", "best", "events*"))
    archive = shutil.make_archive(str(tmp_path / "model"), "tar", folder)
    fitted = in_process("fit_prior", f"--checkpoint={archive}", f"--examples_path={records}")
    assert fitted.returncode == 0, fitted.stderr
    written = Path(fitted.stdout.strip())
    assert tmp_path / "cache" in written.parents
    prior = load_model(archive, seed=1).fitted_prior
    assert prior is not None
    shutil.copy(written, folder)
    packed = unpacked(shutil.make_archive(str(tmp_path / "packed"), "tar", folder))
    assert packed.with_name(PRIOR_FILE).read_bytes() == written.read_bytes()
