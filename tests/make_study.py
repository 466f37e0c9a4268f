"""A study for the tests of the report: real windows and a real checkpoint of a tiny model.

A model of three steps predicts nothing useful, so its predictions are replaced by other windows of
the same records: the page then shows matching, missed and added hits.
"""

import dataclasses
import functools
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import only_once

from groovae.data.source import DataSource
from groovae.errors import GroovaeError
from groovae.evaluation.study import Study, evaluate_model
from groovae.report import ReportOptions, encoding, write
from groovae.report.rolls import Groove

FEW = ReportOptions(num_pairs=2)
GIVEN_HITS = ("timing_mae_ms", "velocity_mae")  # what is scored if the hits are given
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&.mid"


def shared_study(request: pytest.FixtureRequest) -> Study:
    """A study of 200 windows of 4 bars with 100 samples, made once for all files and workers."""
    path = request.getfixturevalue("shared_folder") / "study.pickle"
    with only_once(path):
        if not path.exists():
            records = str(request.getfixturevalue("records"))
            path.write_bytes(pickle.dumps(_make(str(request.getfixturevalue("trained")), records)))
    return pickle.loads(path.read_bytes())


def _make(trained: str, records: str) -> Study:
    data = DataSource(records)
    study = evaluate_model(trained, data, data, num_samples=10)
    others = np.roll(study.reference, 7, axis=0)
    return dataclasses.replace(
        study, predictions=others, samples=others[:100], interpolation=others[:3]
    )


def with_file(study: Study, name: str) -> Study:
    """The study with all windows from a file of this name."""
    sources = [source._replace(filename=name) for source in study.sources]
    return dataclasses.replace(study, sources=sources)


def small(study: Study, samples: int, **changes: Any) -> Study:
    """The study with this number of samples."""
    return dataclasses.replace(study, samples=study.samples[:samples], **changes)


def small_page(study: Study, folder: Path) -> Path:
    """A page with 3 samples and 2 pairs, written once for all files."""
    path = folder / "small.html"
    with only_once(path):
        if not path.exists():
            write(path, small(study, 3), options=FEW)
    return path


def hostile_page(study: Study, folder: Path) -> Path:
    """A page of a task where hits are given, without sound, of a file named HOSTILE; likewise."""
    path = folder / "hostile.html"
    with only_once(path), pytest.MonkeyPatch.context() as patch:
        if not path.exists():
            patch.setattr(encoding, "check_ready", _missing)
            lines: list[str] = []
            write(path, _hostile(study), [HOSTILE] * 200, FEW, lines.append)
            assert any("tinysoundfont" in line for line in lines)
    return path


def _missing(soundfont: Any = None) -> str:
    raise GroovaeError("sound needs the package tinysoundfont")


def _hostile(study: Study) -> Study:
    humanized = of_task(study, "groovae_2bar_humanize", *GIVEN_HITS, humanize=True)
    return dataclasses.replace(
        with_file(humanized, HOSTILE),
        samples=study.samples[:3],
        baselines_share_windows=False,
        examples=HOSTILE,
        checkpoint=HOSTILE,
        training_config={**study.training_config, "train_examples_path": HOSTILE},
        results={**humanized.results, "warnings": [HOSTILE]},
    )


def of_task(study: Study, config: str, *metrics: str, **layout: Any) -> Study:
    """The study with the model of a task."""
    kept = {name: study.results["scores"][name] for name in metrics}
    return dataclasses.replace(
        small(study, 0),
        config_name=config,
        layout=dataclasses.replace(study.layout, **layout),
        results={**study.results, "scores": kept},
    )


def large_page(study: Study, folder: Path) -> Path:
    """A page with 100 samples, ten of each kind, and 5 pairs, written once for all files."""
    path = folder / "large.html"
    ten_times = np.tile(study.samples[:10], (10, 1, 1))
    with only_once(path), pytest.MonkeyPatch.context() as patch:
        if not path.exists():
            patch.setattr(encoding, "sounds", functools.partial(_render_once, encoding.sounds))
            many = dataclasses.replace(study, samples=ten_times)
            write(path, many, options=ReportOptions(num_pairs=5, num_samples=100))
    return path


def _render_once(render: Any, grooves: Sequence[Groove], soundfont: Any = None) -> list[Any]:
    """Render equal grooves once."""
    distinct = {repr(groove): groove for groove in grooves}
    sounds = dict(zip(distinct, render(list(distinct.values()), soundfont), strict=True))
    return [sounds[repr(groove)] for groove in grooves]
