"""How good a model is, for a musician: what it makes of windows, beside what costs nothing to make.

    study = appraise(".train", Data("data_dir/music-test.tfrecord"),
                     Data("data_dir/music-train.tfrecord"))
    study.results["scores"]["hit_f1"]    # {"value": 0.73, "low": 0.71, "high": 0.75}

A model is judged at what it was trained for, with nothing left to chance: one of whole grooves
reconstructs the windows from `mu`; one for a task is shown what it saw in training (a stiff beat,
taps, a beat without hi-hat) and plays its part, and only what it had to find by itself is scored.
Each score stands beside baselines that are fitted on other windows (see baselines.py), with
intervals of 95 % (see judge.py). A model that draws grooves is judged by these as well: how they
differ from the windows as a set, and whether it knows them by heart (see features.py).
"""

import contextlib
import dataclasses
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae.config import config_map
from groovae.config.layout import Layout
from groovae.config.tasks import task_of
from groovae.data.source import DataSource
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import WindowSource, predicted_drums
from groovae.evaluation.intervals import (
    MIN_RECORDINGS,
    ReferenceWindows,
    mask_to_predicted,
    score_with_baselines,
)
from groovae.generation.groove_model import GrooveModel, load_model
from groovae.metrics import features, scores
from groovae.metrics.latent_usage import usage
from groovae.model import latent
from groovae.model.checkpoints import need_checkpoint
from groovae.system.log import Log, no_log
from groovae.training.losses import Evaluation, Evaluator
from groovae.training.metrics_csv import FILE as CURVE_FILE
from groovae.training.metrics_csv import MetricsLog, Row
from groovae.training.validation import EVAL_FOLDER

INTERPOLATION_STEPS = 7
BATCH_SIZE = 128


@dataclasses.dataclass
class Study:
    """All that there is to show of a checkpoint.

    Attributes:
      checkpoint: Its prefix.
      step: Its global step.
      config_name: The key of `CONFIG_MAP`.
      layout: How windows are cut, and what the encoder gets to see.
      about: What `config.json` says, or empty.
      examples: What the user calls the windows' records.
      reference: The windows, float32 [n, steps, depth].
      estimate: What the model makes of each, likewise.
      tempo_qpm: Their tempos, [n].
      sources: The recording that each is from.
      mu, sigma: float32 [n, z_size].
      samples: Grooves that it draws, float32 [m, steps, depth]; m is 0 where it is given hits.
      interpolation_ends: Two windows, by number.
      interpolation: Grooves on the way from one to the other, float32 [k, steps, depth]; k is 0
        where its latents cannot be played without being given hits.
      as_hits: Whether velocities and offsets are those of hits; see `GrooveModel`.
      training, validation: The rows of both curves, by TensorBoard's names.
      results: What `groovae evaluate --metrics --json` prints.
    """

    checkpoint: str
    step: int
    config_name: str
    layout: Layout
    about: dict[str, Any]
    examples: str
    reference: np.ndarray
    estimate: np.ndarray
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
    results: dict[str, Any] = dataclasses.field(default_factory=dict)


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
    as_hits: bool = False,
) -> Study:
    """Evaluates one checkpoint in every way there is.

    Args:
      checkpoint: A training folder, whose newest checkpoint is taken, a prefix, or a `.tar`.
      data: What to judge it by: windows that it was not trained on.
      baseline_data: What the baselines are fitted on: the windows that it was trained on.
      config: A key of `CONFIG_MAP`; needed only where `config.json` does not lie beside it.
      hparams: `name=value,...`; likewise.
      num_samples: How many grooves to draw; as many as there are windows where it is None.
      temperature: Of the draws.
      seed: Of the draws.
      log: Gets each line that tells what is about to happen, or what says little.
      as_hits: See `GrooveModel`.

    Raises:
      GroovaeError: no checkpoint there, or it is damaged or another model's; no windows.
      UsageError: unknown config or hparams, or they contradict `config.json`.
    """
    prefix = need_checkpoint(checkpoint)
    folder = Path(prefix).parent
    name, full_config = config_map.resolve_config(folder, config, hparams)
    data = data or DataSource()
    baseline_data = baseline_data or DataSource("data_dir/music-train.tfrecord")
    train_windows = baseline_data.load(full_config, folder, log)
    train = trained_on = _all_of(train_windows)
    as_trained = _as_trained(baseline_data, folder)
    if as_trained != baseline_data:
        trained_on = _all_of(as_trained.load(full_config, folder, log))
    windows = data.load(full_config, folder, log)
    with contextlib.closing(Evaluator(name, full_config, windows)) as evaluator:
        evaluation = evaluator.evaluate(prefix)
    as_hits = as_hits or task_of(name) is not None  # as the commands for tasks play
    model = load_model(prefix, config, hparams, seed, BATCH_SIZE, log=log, as_hits=as_hits)
    num_samples = len(windows) if num_samples is None else num_samples
    study = _study(model, evaluation, data.examples().name, windows, num_samples, temperature)
    judge = ReferenceWindows(study.reference, study.tempo_qpm, _recordings(study))
    lines = [*_doubts(judge, windows.key == train_windows.key)]
    with _caught(lines):
        study.results = {
            **_about(study, baseline_data.examples().name),
            "losses": evaluation.losses,
            **score_with_baselines(judge, study.estimate, train, model.layout),
            "samples": _judged_samples(study, trained_on, temperature, seed),
            "latent": usage(study.mu, study.sigma, full_config.hparams.free_bits),
            "warnings": lines,
        }
    for line in lines:
        log(f"warning: {line}")
    return study


def _as_trained(data: DataSource, folder: Path) -> DataSource:
    """The same records, cut as the training did, as far as `config.json` says."""
    hop_bars = (config_map.read_config(folder) or {}).get("hop_bars", data.hop_bars)
    return dataclasses.replace(data, hop_bars=hop_bars)


def _doubts(windows: ReferenceWindows, are_those_fitted_on: bool) -> Iterator[str]:
    """Why the scores may say less than they seem to."""
    if are_those_fitted_on:
        yield "the baselines are fitted on the windows they are judged by, and so look too good"
    if not windows.has_intervals:
        yield f"fewer than {MIN_RECORDINGS} recordings: there are no intervals"


def _study(
    model: GrooveModel,
    evaluation: Evaluation,
    examples: str,
    windows: CachedWindows,
    num_samples: int,
    temperature: float,
) -> Study:
    """All but the results."""
    folder, reference = Path(model.checkpoint).parent, _all_of(windows)
    estimate, mu, sigma = model.predict_windows(reference)
    sources = [windows.source(number) for number in range(len(windows))]
    training, validation = _curves(folder)
    ends = _far_apart(mu)
    return Study(
        checkpoint=model.checkpoint,
        step=evaluation.step,
        config_name=model.config_name,
        layout=model.layout,
        about=config_map.read_config(folder) or {},
        examples=examples,
        reference=reference,
        estimate=estimate,
        tempo_qpm=np.array([source.tempo_qpm for source in sources]),
        sources=sources,
        mu=mu,
        sigma=sigma,
        samples=_samples(model, num_samples, temperature),
        interpolation_ends=ends,
        interpolation=_between(model, mu, ends),
        training=training,
        validation=validation,
        as_hits=model.as_hits,
    )


def _all_of(windows: CachedWindows) -> np.ndarray:
    return windows.outputs(np.arange(len(windows)))


def _samples(model: GrooveModel, number: int, temperature: float) -> np.ndarray:
    layout = model.layout
    if not number or not predicted_drums(layout).all():
        return np.zeros((0, layout.window_steps, layout.depth), np.float32)
    return model.sample_tensors(number, layout.split_bars, temperature)


def _far_apart(mu: np.ndarray) -> tuple[int, int]:
    """The first window, and the one that is farthest from it."""
    return 0, int(np.argmax(np.linalg.norm(mu - mu[0], axis=1)))


def _between(model: GrooveModel, mu: np.ndarray, ends: tuple[int, int]) -> np.ndarray:
    """Grooves on the way from a window to another, the likeliest of each."""
    layout = model.layout
    if not predicted_drums(layout).all():
        return np.zeros((0, layout.window_steps, layout.depth), np.float32)
    first, last = (mu[end][np.newaxis] for end in ends)
    shares = np.linspace(0, 1, INTERPOLATION_STEPS)
    z = np.concatenate([latent.slerp(first, last, share) for share in shares])
    return model.decode_to_tensors(z, layout.split_bars, temperature=0)


def _curves(folder: Path) -> tuple[list[Row], list[Row]]:
    """Of the training that a checkpoint is from; the best one lies in a folder of its own."""
    home = next((f for f in (folder, folder.parent) if (f / CURVE_FILE).is_file()), folder)
    return MetricsLog(home / CURVE_FILE).rows, MetricsLog(home / EVAL_FOLDER / CURVE_FILE).rows


def _about(study: Study, baseline_examples: str) -> dict[str, Any]:
    hits = mask_to_predicted(study.reference, study.layout)[..., : study.layout.num_drums] > 0.5
    return {
        "checkpoint": study.checkpoint,
        "step": study.step,
        "config": study.config_name,
        "examples": study.examples,
        "baseline_examples": baseline_examples,
        "windows": len(study.reference),
        "recordings": len(set(_recordings(study).tolist())),
        "hits": int(hits.sum()),
        "as_hits": study.as_hits,
    }


def _recordings(study: Study) -> np.ndarray:
    """A number for each window's recording."""
    ids = {source.id: number for number, source in enumerate(study.sources)}
    return np.array([ids[source.id] for source in study.sources])


def _judged_samples(
    study: Study, trained_on: np.ndarray, temperature: float, seed: int
) -> dict[str, Any] | None:
    """What sets grooves that were drawn apart from the windows, and from those trained on."""
    if not len(study.samples):
        return None
    samples, data = study.samples, study.reference
    return {
        "number": len(samples),
        "temperature": temperature,
        "seed": seed,
        "windows_trained_on": len(trained_on),
        **scores.compare(samples, data, trained_on),
        "copies_of_data": features.copies(data, trained_on),
        "diversity_of_data": features.diversity(data),
    }


@contextlib.contextmanager
def _caught(lines: list[str]) -> Iterator[None]:
    """Adds what the metrics warn of, each thing once."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    lines += dict.fromkeys(str(warning.message) for warning in caught)
