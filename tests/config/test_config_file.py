"""Tests of groovae.config.config_file: hparams are parsed as Magenta parses them."""

import copy
import random
import re

from groovae.config import config_map
from groovae.config.config_file import override_hparams
from groovae.errors import UsageError

VALUES = [
    *("1", "0", "-3", "1.5", "1e-3", "1_000", "2.0", "0x10", "nan", "inf", "true", "False", "abc"),
    *("", "[1]", "[1,2]", "[]", "[a]", "[1.5]", "[1,,2]", "[1 2]", "[", "]"),
]


def test_override_hparams_equals_hparams_parse() -> None:
    rng = random.Random(1)
    magentas = config_map.CONFIG_MAP["groovae_4bar"].hparams
    names = [*magentas.values(), "unknown", "enc_rnn_size[0]"]
    valid = 0
    for _ in range(4000):
        text = _random_assignments(names, rng)
        expected = copy.deepcopy(magentas)
        try:
            expected.parse(re.sub(r"\s", "", text))
        except ValueError:
            expected = None
        try:
            overridden = override_hparams(magentas.values(), text)
        except UsageError:
            assert expected is None, text
        else:
            assert expected is not None, text
            assert _typed(overridden) == _typed(expected.values()), text
            valid += 1
    assert valid > 400


def _random_assignments(names: list[str], rng: random.Random) -> str:
    is_odd = rng.random() < 0.2
    equals, comma = (rng.choice(["==", "", " = "]), rng.choice([",,", ", "])) if is_odd else "=,"
    pairs = [rng.choice(names) + equals + rng.choice(VALUES) for _ in range(rng.randint(1, 3))]
    return comma.join(pairs) + rng.choice(["", "", ","])


def _typed(hparams: dict[str, object]) -> dict[str, str]:
    return {name: f"{type(value)} {value!r}" for name, value in hparams.items()}
