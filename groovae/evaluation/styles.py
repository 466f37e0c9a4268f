"""Which styles a classifier hears in samples of a model, and in the windows of the data."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.generation.groove_model import GrooveModel
from groovae.metrics.style_classifier import StyleClassifier

SAMPLES_OF_STYLE = 100


def measure_styles(
    model: GrooveModel,
    classify: StyleClassifier,
    samples: np.ndarray,
    data: np.ndarray,
    styles_of_data: Sequence[str],
    temperature: float,
    prior: str,
) -> dict[str, dict[str, Any]]:
    """Measure by style what is heard in samples and in data.

    Args:
      model: Samples the styles of its prior.
      classify: Fitted to the windows that the model was trained on.
      samples: Of the model, of no style in particular, [n, steps, 3 * drums].
      data: Windows that the model was not trained on, [m, steps, 3 * drums].
      styles_of_data: The style of each.
      temperature: Of further samples.
      prior: What they are drawn from, `fitted` or `standard`.

    Returns:
      By style: `samples` and `data`, the share of all windows that are heard as this style;
      `data_of_style`, the share of this style's own windows that are, None without any; and
      `samples_of_style`, that of samples which were asked for it, None if the prior has none.
    """
    heard, heard_in_data = classify(samples), classify(data)
    names = np.asarray(styles_of_data)
    chosen = model.choose_prior(prior)
    asked = chosen.shares() if chosen else {}
    found = {}
    for style in classify.styles:
        own = names == style
        of_style = None
        if style in asked:
            count = min(SAMPLES_OF_STYLE, len(samples))
            bars = model.layout.split_bars
            drawn = model.sample_tensors(count, bars, temperature, style=style)
            of_style = float(np.mean(classify(drawn) == style))
        found[style] = {
            "samples": float(np.mean(heard == style)),
            "data": float(np.mean(heard_in_data == style)),
            "data_of_style": float(np.mean(heard_in_data[own] == style)) if own.any() else None,
            "samples_of_style": of_style,
        }
    return found
