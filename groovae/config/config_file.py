"""What `config.json` says of a model: plain values, compared without building anything.

A training folder and an exported model have one; `configs.describe` makes it.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groovae.errors import UsageError

CONFIG_FILE = "config.json"
_ASSIGNMENT = re.compile(r"([a-zA-Z][\w.]*)=(\[[^\]]*\]|[^,\[]*)(?:,|$)")

# Hparams that say how to train, not what is trained: a training may go on with other ones.
TRAINING_HPARAMS = {
    *("batch_size", "learning_rate", "decay_rate", "min_learning_rate"),
    *("grad_clip", "clip_mode", "grad_norm_clip_to_zero"),
    *("dropout_keep_prob", "free_bits", "max_beta", "beta_rate"),
    *("sampling_schedule", "sampling_rate"),
}


def check_same_model(saved: dict[str, Any], asked: dict[str, Any], where: str) -> None:
    """Compares two descriptions in all that makes the model what it is.

    Raises:
      UsageError: they differ; the message names each hparam with both values.
    """
    differences = []
    if saved["config"] != asked["config"]:
        differences.append(f"config is {saved['config']} there, {asked['config']} here")
    for key in sorted(set(saved["hparams"]) | set(asked["hparams"])):
        there, here = saved["hparams"].get(key), asked["hparams"].get(key)
        if key not in TRAINING_HPARAMS and there != here:
            differences.append(f"{key} is {there} there, {here} here")
    for key, here in asked["data_converter"].items():
        there = saved["data_converter"].get(key)
        if there != here:
            differences.append(f"the converter's {key} is {there} there, {here} here")
    if differences:
        raise UsageError(
            f"{where} holds another model: {'; '.join(differences)}. "
            "Leave out the flags that differ, or name another folder"
        )


def need_hparams(names: Iterable[str], known: Mapping[str, Any]) -> None:
    """Checks that there are hparams of these names; raises a UsageError that names a near one."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise UsageError(
                f"no hparam is called {name!r}.{hint} There are {', '.join(sorted(known))}"
            )


def override_hparams(saved: dict[str, Any], hparams: str | Sequence[str]) -> dict[str, Any]:
    """Hparams with others in place of them: what Magenta's `HParams.parse` would make of them.

    Args:
      saved: By name.
      hparams: `name=value,...`, or several of these, of which a later one wins.

    Raises:
      UsageError: no such hparam, it is given twice, or its value is of another type.
    """
    asked = dict(saved)
    for given in [hparams] if isinstance(hparams, str) else hparams:
        asked |= _parsed(re.sub(r"\s", "", given), saved)
    return asked


def _parsed(given: str, saved: dict[str, Any]) -> dict[str, Any]:
    names = re.findall(r"([^,=\[\]]+)(?:\[\d+\])?=", given)
    need_hparams(names, saved)
    try:
        if _ASSIGNMENT.sub("", given) or len(set(names)) < len(names):
            raise ValueError("it is no list of name=value, with each name once")
        return {name: _value(text, saved[name]) for name, text in _ASSIGNMENT.findall(given)}
    except ValueError as error:
        example = ",".join(f"{name}={saved[name]}" for name in names or ["batch_size"])
        raise UsageError(
            f"cannot read --hparams={given}: {error}; write it as {example}"
        ) from error


def _value(text: str, saved: Any) -> Any:
    """A value of the type of the saved one, or a ValueError."""
    if isinstance(saved, list) != text.startswith("["):
        raise ValueError(f"{text} is {'no' if isinstance(saved, list) else 'a'} list")
    if isinstance(saved, list):
        return [_value(one, saved[0]) for one in text[1:-1].split(",") if one]
    if isinstance(saved, bool):
        return text in ("true", "True") or (text not in ("false", "False") and bool(int(text)))
    return type(saved)(text)
