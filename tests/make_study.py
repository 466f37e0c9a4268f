"""A study for the tests of the report: real windows and a real checkpoint of a tiny model.

The model has learned nothing in three steps, so what it made of the windows is replaced by other
windows of the same records: the page then has hits to show, found, missed and added ones.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from conftest import only_once

from groovae.data.source import DataSource
from groovae.evaluation.study import Study, evaluate_model
from groovae.report import ReportOptions, write


def study_of(trained: Path, records: Path) -> Study:
    """A study of 200 windows of 4 bars, with 100 samples."""
    data = DataSource(str(records))
    study = evaluate_model(str(trained), data, data, num_samples=100)
    others = np.roll(study.reference, 7, axis=0)
    return dataclasses.replace(
        study, estimate=others, samples=others[:100], interpolation=others[:3]
    )


def with_file(study: Study, name: str) -> Study:
    """The study as if all its windows were from a file of this name."""
    sources = [source._replace(filename=name) for source in study.sources]
    return dataclasses.replace(study, sources=sources)


def small(study: Study, samples: int, **more: Any) -> Study:
    """The study with so many samples."""
    return dataclasses.replace(study, samples=study.samples[:samples], **more)


def page_of_a_hundred(study: Study, folder: Path) -> Path:
    """A page with 100 samples and 5 pairs; rendered once, whoever asks first."""
    path = folder / "hundred.html"
    with only_once(path):
        if not path.exists():
            write(path, study, options=ReportOptions(num_pairs=5, num_samples=100))
    return path
