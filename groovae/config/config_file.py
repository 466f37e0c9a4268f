"""`config.json` of a training folder or an exported model: hparams and converter arguments.

`config_map.config_json` makes its contents. Here they are read, compared and overridden as plain
values, without TensorFlow.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from groovae.config.description import check_description
from groovae.errors import GroovaeError, UsageError, first_line, shorten_value
from groovae.music.drums import format_drum_map
from groovae.system.regular_files import read_json

CONFIG_FILE = "config.json"
_ASSIGNMENT = re.compile(r"([a-zA-Z][\w.]*)=(\[[^\]]*\]|[^,\[]*)(?:,|$)")

# Hparams that do not change what the model is: training may be resumed with other values.
TRAINING_HPARAMS = {
    *("batch_size", "learning_rate", "decay_rate", "min_learning_rate"),
    *("grad_clip", "clip_mode", "grad_norm_clip_to_zero"),
    *("dropout_keep_prob", "free_bits", "max_beta", "beta_rate"),
    *("sampling_schedule", "sampling_rate", "feel_loss"),
}


def read_config(folder: Path) -> dict[str, Any] | None:
    """Read `config.json` of a training folder or an export; return None if it is missing.

    Raises:
      GroovaeError: the file is damaged or describes no config of this version.
    """
    path = folder / CONFIG_FILE
    try:
        saved = read_json(path)
        check_description(saved)
        return {"meter": "4/4", "drum_map": None} | saved  # which earlier versions lack
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise GroovaeError(
            f"cannot read {path}: {first_line(error)}; remove it and give --config and --hparams "
            "instead"
        ) from error


def check_same_model(saved: dict[str, Any], asked: dict[str, Any], where: str) -> None:
    """Check that two `config.json` describe the same model, training hparams aside.

    Raises:
      UsageError: they differ; the message names each hparam with both values.
    """
    compared = [("config", saved["config"], asked["config"])]
    compared.append(("meter", saved.get("meter", "4/4"), asked.get("meter", "4/4")))
    own, other = (_drum_map(description) for description in (saved, asked))
    compared.append(("drum_map", own, other))
    for key in sorted({*saved["hparams"], *asked["hparams"]} - TRAINING_HPARAMS):
        compared.append((key, saved["hparams"].get(key), asked["hparams"].get(key)))
    for key, here in asked["data_converter"].items():
        if own == other or key not in ("pitch_classes", "inference_pitch_classes"):
            compared.append((f"the converter's {key}", saved["data_converter"].get(key), here))
    quotes = "'"
    differences = [
        f"{name} is {shorten_value(there).strip(quotes)}, not {shorten_value(here).strip(quotes)}"
        for name, there, here in compared
        if there != here
    ]
    if differences:
        shown, more = differences[:4], len(differences) - 4
        shown += [f"and {more} more differences"] if more > 0 else []
        raise UsageError(
            f"{where} holds another model: {'; '.join(shown)}. "
            "Leave out the flags that differ, or name another folder"
        )


def _drum_map(description: Mapping[str, Any]) -> str:
    drum_map = description.get("drum_map")
    return format_drum_map(drum_map) if drum_map else "that of the config"


def override_hparams(hparams: Mapping[str, Any], text: str | Sequence[str]) -> dict[str, Any]:
    """Return the hparams with new values parsed from text, as Magenta's `HParams.parse` does.

    Args:
      hparams: The hparams by name; they also give the types.
      text: `name=value,...`, or several of these, of which a later one wins.

    Raises:
      UsageError: an unknown hparam, one given twice, or a value of another type.
    """
    overridden = dict(hparams)
    for part in [text] if isinstance(text, str) else text:
        overridden |= _parse(re.sub(r"\s", "", part), hparams)
    return overridden


def _parse(text: str, hparams: Mapping[str, Any]) -> dict[str, Any]:
    names = re.findall(r"([^,=\[\]]+)(?:\[\d+\])?=", text)
    _check_known(names, hparams)
    try:
        if _ASSIGNMENT.sub("", text) or len(set(names)) < len(names):
            raise ValueError("not a list of name=value with each name once")
        return {name: _convert(name, new, hparams[name]) for name, new in _ASSIGNMENT.findall(text)}
    except ValueError as error:
        example = ",".join(f"{name}={hparams[name]}" for name in names or ["batch_size"])
        raise UsageError(f"cannot read --hparams={text}: {error}; write it as {example}") from error


def _check_known(names: Iterable[str], hparams: Mapping[str, Any]) -> None:
    for name in names:
        if name not in hparams:
            near = difflib.get_close_matches(name, hparams, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"no hparam is called {name!r}.{hint} There are {', '.join(sorted(hparams))}"
            )


def _convert(name: str, text: str, old: Any) -> Any:
    """Convert text to the type of the old value; raise a ValueError if it does not fit."""
    is_list = isinstance(old, list)
    if is_list != text.startswith("["):
        raise ValueError(f"{name} takes {'a list' if is_list else 'one value'}, got {text!r}")
    if is_list:
        return [_convert(name, item, old[0]) for item in text[1:-1].split(",") if item]
    if isinstance(old, bool) and text in ("true", "True", "false", "False"):
        return text in ("true", "True")
    try:
        return bool(int(text)) if isinstance(old, bool) else type(old)(text)
    except ValueError as error:
        raise ValueError(f"{name} takes {type(old).__name__}, got {text!r}") from error
