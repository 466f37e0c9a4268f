"""Evaluation of a trained model: musical scores, baselines, samples and latent usage.

    study = evaluate_model(".train", DataSource("data_dir/music-test.tfrecord"),
                           DataSource("data_dir/music-train.tfrecord"))
    study.results["scores"]["hit_f1"]    # {"value": 0.73, "low": 0.71, "high": 0.75}

A model is evaluated on the task that it was trained for, deterministically (z = mu, temperature 0).
A model of whole grooves reconstructs the windows; a model for a task gets the input of its training
(a quantized beat, taps, a beat without hi-hat), and only its own predictions are scored. Each score
has a 95 % interval (see intervals.py) and baselines fitted on other windows (see baselines.py). A
model that can sample is also evaluated by its samples: their features beside those of the windows,
the share of them that copy a training window (see features.py), how they hold together (see
structure.py), and which styles are heard in them (see styles.py).

An exported model is evaluated without TensorFlow; only a checkpoint has losses.
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config.config_file import read_config
from groovae.config.layout import Layout, format_meter
from groovae.config.tasks import can_sample, task_of
from groovae.data.source import TRAINED_WINDOWS, DataSource
from groovae.data.styles import styles_of
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import WindowSource, predicted_drums, tempos_of
from groovae.evaluation.intervals import (
    MIN_RECORDINGS,
    ReferenceWindows,
    mask_to_predicted,
    score_with_baselines,
)
from groovae.evaluation.styles import measure_styles
from groovae.generation.groove_model import GrooveModel
from groovae.generation.networks import folder_of, load_network
from groovae.metrics import features, scores
from groovae.metrics.latent_usage import usage
from groovae.metrics.structure import structure
from groovae.metrics.style_classifier import STYLES, StyleClassifier
from groovae.model import latent
from groovae.model.formats import step_of
from groovae.model.network import Network
from groovae.model.onnx_network import OnnxNetwork
from groovae.system.log import Log, no_log
from groovae.training.metrics_csv import EVAL_FOLDER, MetricsLog, Row
from groovae.training.metrics_csv import FILE as METRICS_FILE

INTERPOLATION_STEPS = 7
BATCH_SIZE = 128


@dataclasses.dataclass
class Study:
    """The evaluation of a model.

    Attributes:
      checkpoint: Prefix of the checkpoint, or folder of the export.
      step: Global step.
      config_name: Key of `CONFIG_MAP`.
      layout: How windows are cut, and what the encoder receives.
      training_config: Content of `config.json`, or empty.
      examples: Name of the records.
      reference: The windows, float32 [n, steps, depth].
      predictions: What the model outputs for each, float32 [n, steps, depth].
      tempo_qpm: Of each window, [n].
      sources: Recording and place of each window.
      mu, sigma: float32 [n, z_size].
      samples: float32 [m, steps, depth]; m is 0 for a model that is given hits.
      interpolation_ends: Indices of two windows.
      interpolation: Grooves between the two, float32 [k, steps, depth]; k is 0 for a model that is
        given hits.
      as_hits: Whether velocities and offsets are conditioned on a hit; see `GrooveModel`.
      prior: What the samples are drawn from, `fitted` or `standard`.
      feel: That of the samples, `drawn` or `mean`.
      training, validation: Rows of the metrics logs, by TensorBoard's names.
      baselines_share_windows: Whether the baselines are fitted on `reference` itself.
      results: The output of `groovae evaluate --metrics --json`.
    """

    checkpoint: str
    step: int
    config_name: str
    layout: Layout
    training_config: dict[str, Any]
    examples: str
    reference: np.ndarray
    predictions: np.ndarray
    tempo_qpm: np.ndarray
    sources: list[WindowSource]
    mu: np.ndarray
    sigma: np.ndarray
    samples: np.ndarray
    interpolation_ends: tuple[int, int]
    interpolation: np.ndarray
    training: list[Row]
    validation: list[Row]
    as_hits: bool = False
    prior: str = "standard"
    feel: str = "mean"
    baselines_share_windows: bool = False
    results: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def recordings(self) -> np.ndarray:
        """Number of the recording of each window, int [n]."""
        numbers = {source.id: number for number, source in enumerate(self.sources)}
        return np.array([numbers[source.id] for source in self.sources])


def evaluate_model(
    checkpoint: str = ".train",
    data: DataSource | None = None,
    baseline_data: DataSource | None = None,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    num_samples: int | None = None,
    temperature: float = 0.5,
    seed: int = 0,
    log: Log = no_log,
    as_hits: bool = True,
    prior: str | None = None,
    feel: str | None = None,
) -> Study:
    """Evaluate a model.

    Args:
      checkpoint: Training directory (its latest checkpoint), checkpoint prefix, `.tar`, folder of
        an ONNX export, or name of a bundled model.
      data: Windows to evaluate on, which the model was not trained on.
      baseline_data: Windows to fit the baselines on, which the model was trained on.
      config: Key of `CONFIG_MAP`; needed only without a `config.json` beside the checkpoint.
      hparams: `name=value,...`; likewise.
      num_samples: Number of grooves to sample, by default the number of windows.
      temperature: Temperature of the samples.
      seed: Seed of the samples.
      log: Receives progress and warnings.
      as_hits: See `GrooveModel`.
      prior: See `GrooveModel.sample`.
      feel: See `GrooveModel`; that of the samples.

    Raises:
      GroovaeError: the checkpoint is missing, damaged or of another model, or there are no windows.
      UsageError: unknown config or hparams, or they contradict `config.json`.
    """
    network = load_network(checkpoint, config, hparams, None, BATCH_SIZE)
    is_task = task_of(network.layout) is not None  # whose commands condition on hits
    layout = dataclasses.replace(network.layout, max_note_dropout_probability=None)
    model = GrooveModel(network, layout, seed, log, as_hits or is_task, feel)
    folder = folder_of(network)
    data = data or DataSource()
    baseline_data = baseline_data or DataSource("data_dir/music-train.tfrecord")
    baseline_windows = baseline_data.load(network.layout, folder, log)
    train, trained_windows = _outputs(baseline_windows), baseline_windows
    as_trained = _as_trained(baseline_data, folder)
    if as_trained != baseline_data:
        trained_windows = as_trained.load(network.layout, folder, log, check=lambda *_: None)
    windows = data.load(network.layout, folder, log)
    losses = _losses(network, windows, config, hparams)
    num_samples = len(windows) if num_samples is None else num_samples
    study = _run(model, network, data.examples().name, windows, num_samples, temperature, prior)
    study.baselines_share_windows = windows.key == baseline_windows.key
    reference = ReferenceWindows(
        study.reference, study.tempo_qpm, study.recordings, study.layout.meter
    )
    lines = [*_caveats(study, reference)]
    with _collect_warnings(lines):
        study.results = {
            **_overview(study, baseline_data.examples().name),
            "losses": losses,
            **score_with_baselines(reference, study.predictions, train, model.layout),
            "samples": _compare_samples(study, model, trained_windows, temperature),
            "latent": usage(study.mu, study.sigma, network.hparams["free_bits"]),
            "warnings": lines,
        }
    for line in lines:
        log(f"warning: {line}")
    return study


def _losses(
    network: Network, windows: CachedWindows, config: str | None, hparams: str | Sequence[str]
) -> dict[str, float]:
    """Return the losses of a checkpoint by name; none of an exported model."""
    if isinstance(network, OnnxNetwork):
        return {}
    from groovae.config import config_map
    from groovae.training.losses import Evaluator

    name, unbuilt = config_map.resolve_config(folder_of(network), config, hparams)
    with contextlib.closing(Evaluator(name, unbuilt, windows)) as evaluator:
        return evaluator.evaluate(network.checkpoint).losses


def _step_of(network: Network) -> int:
    if isinstance(network, OnnxNetwork):
        return network.metadata["step"]
    return step_of(network.checkpoint)


def _as_trained(data: DataSource, folder: Path) -> DataSource:
    """Return data that gives the windows that the model was trained on, to search for copies."""
    saved = read_config(folder) or {}
    trained = {name: saved[name] for name in TRAINED_WINDOWS if name in saved}
    return dataclasses.replace(data, **trained)


def _caveats(study: Study, reference: ReferenceWindows) -> Iterator[str]:
    """Yield the reasons why the scores are less reliable than they look."""
    if study.baselines_share_windows:
        yield "the baselines are fitted on the evaluated windows, so their scores are too good"
    if not reference.has_intervals:
        yield f"fewer than {MIN_RECORDINGS} recordings: no intervals"


def _run(
    model: GrooveModel,
    network: Network,
    examples: str,
    windows: CachedWindows,
    num_samples: int,
    temperature: float,
    prior: str | None,
) -> Study:
    """Run the model on the windows, and return a study without results."""
    folder, reference = folder_of(network), _outputs(windows)
    sources = [windows.source(number) for number in range(len(windows))]
    tempo_qpm = tempos_of(sources)
    predictions, mu, sigma = model.predict_windows(reference, tempo_qpm=tempo_qpm)
    training, validation = _metrics_logs(folder)
    ends = 0, int(np.argmax(np.linalg.norm(mu - mu[0], axis=1)))  # the most distant window
    is_sampled = can_sample(model.layout) and bool(predicted_drums(model.layout).all())
    return Study(
        checkpoint=model.checkpoint,
        step=_step_of(network),
        config_name=model.config_name,
        layout=model.layout,
        training_config=read_config(folder) or {},
        examples=examples,
        reference=reference,
        predictions=predictions,
        tempo_qpm=tempo_qpm,
        sources=sources,
        mu=mu,
        sigma=sigma,
        samples=(
            model.sample_tensors(num_samples, model.layout.split_bars, temperature, prior=prior)
            if is_sampled and num_samples
            else reference[:0]
        ),
        interpolation_ends=ends,
        interpolation=_interpolate(model, *mu[[*ends]]) if is_sampled else reference[:0],
        training=training,
        validation=validation,
        as_hits=model.as_hits,
        prior="standard" if model.choose_prior(prior) is None else "fitted",
        feel="drawn" if model.draws_feel("sample") else "mean",
    )


def _outputs(windows: CachedWindows) -> np.ndarray:
    return windows.outputs(np.arange(len(windows)))


def _interpolate(model: GrooveModel, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Decode points between two latents, deterministically."""
    shares = np.linspace(0, 1, INTERPOLATION_STEPS)
    z = [latent.slerp(first[np.newaxis], last[np.newaxis], share) for share in shares]
    return model.decode_to_tensors(np.concatenate(z), model.layout.split_bars, temperature=0)


def _metrics_logs(folder: Path) -> tuple[list[Row], list[Row]]:
    """Read the logs of the training; the best checkpoint is in a subfolder of its own."""
    home = next((f for f in (folder, folder.parent) if (f / METRICS_FILE).is_file()), folder)
    return MetricsLog(home / METRICS_FILE).rows, MetricsLog(home / EVAL_FOLDER / METRICS_FILE).rows


def _overview(study: Study, baseline_examples: str) -> dict[str, Any]:
    hits = mask_to_predicted(study.reference, study.layout)[..., : study.layout.num_drums] > 0.5
    return {
        "checkpoint": study.checkpoint,
        "step": study.step,
        "config": study.config_name,
        "meter": format_meter(study.layout.meter),
        "examples": study.examples,
        "baseline_examples": baseline_examples,
        "windows": len(study.reference),
        "recordings": len(set(study.recordings.tolist())),
        "hits": int(hits.sum()),
        "as_hits": study.as_hits,
    }


def _compare_samples(
    study: Study, model: GrooveModel, trained_windows: CachedWindows, temperature: float
) -> dict[str, Any] | None:
    """Compare the samples with the windows, and with those that the model was trained on."""
    if not len(study.samples):
        return None
    samples, data, meter = study.samples, study.reference, study.layout.meter
    trained_on = _outputs(trained_windows)
    return {
        "number": len(samples),
        "temperature": temperature,
        "seed": model.seed,
        "prior": study.prior,
        "feel": study.feel,
        "windows_trained_on": len(trained_on),
        **scores.compare(samples, data, trained_on, meter),
        "copies_of_data": features.copies(data, trained_on, meter=meter),
        "diversity_of_data": features.diversity(data, meter),
        "structure": structure(samples, meter),
        "structure_of_data": structure(data, meter),
        "styles": _hear_styles(study, model, trained_windows, trained_on, temperature),
    }


def _hear_styles(
    study: Study,
    model: GrooveModel,
    trained_windows: CachedWindows,
    trained_on: np.ndarray,
    temperature: float,
) -> dict[str, Any]:
    """Return what `measure_styles` does, empty if the training windows are of fewer than two."""
    files = [trained_windows.source(number).filename for number in range(len(trained_on))]
    names = styles_of(files)
    if len(set(names) & set(STYLES)) < 2:
        return {}
    classify = StyleClassifier(trained_on, names, meter=study.layout.meter)
    styles = styles_of([source.filename for source in study.sources])
    return measure_styles(
        model, classify, study.samples, study.reference, styles, temperature, study.prior
    )


@contextlib.contextmanager
def _collect_warnings(lines: list[str]) -> Iterator[None]:
    """Append the warnings of the metrics, each one once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lines += dict.fromkeys(str(warning.message) for warning in caught)
