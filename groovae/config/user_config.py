"""Configs that users define in Python files: `--config=mine.py:NAME`.

NAME is a Magenta Config in the file, or a key of a CONFIG_MAP in it. The file is run, so it is one
that the user names; a `config.json` never names a file. What `config.json` keeps of a config is its
hparams and the arguments of its GrooveConverter, and a config that differs in anything else is
refused.
"""

import runpy
from pathlib import Path
from typing import Any

from groovae.config.config_map import CONFIG_MAP, Config, config_from_json, config_json, layout
from groovae.config.description import DESCRIPTION
from groovae.config.layout import BUILT_IN, LAYOUTS
from groovae.errors import GroovaeError, UsageError, first_line
from groovae.upstream import lstm_models


def load_user_config(text: str) -> str:
    """Run the Python file of FILE.py:NAME, add the config to CONFIG_MAP, and return its name.

    Raises:
      UsageError: the file has no such config, or one that `config.json` cannot keep.
      GroovaeError: the file is missing, or running it fails.
    """
    file, _, name = text.rpartition(":")
    path = Path(file).expanduser()
    if not path.is_file():
        raise GroovaeError(f"--config={text}: {file} is no file; name a FILE.py:NAME")
    try:
        names = runpy.run_path(str(path))
    except Exception as error:
        raise GroovaeError(f"{file}: {type(error).__name__}: {first_line(error)}") from error
    config = names.get(name, names.get("CONFIG_MAP", {}).get(name))
    if not isinstance(config, Config):
        raise UsageError(f"{file}: no Magenta Config is called {name!r} in it")
    try:
        add_config(name, config)
    except UsageError as error:
        raise UsageError(f"{text}: {error}") from error
    return name


def add_config(name: str, config: Any) -> None:
    """Add a Config to CONFIG_MAP, as `config.json` keeps it.

    Raises:
      UsageError: the name is taken or not valid, or `config.json` cannot keep the config.
    """
    if name in BUILT_IN:
        raise UsageError(f"{name} is a config of groovae; choose another name")
    if not DESCRIPTION["config"].holds(name):
        raise UsageError("the name must have letters, digits and _, such as my_config")
    _check_model(config)
    try:
        CONFIG_MAP[name] = config_from_json(config_json(name, config))
    except AttributeError as error:  # of a converter without its attributes
        raise UsageError("the data converter must be a GrooveConverter") from error
    LAYOUTS[name] = layout(CONFIG_MAP[name])


def _check_model(config: Any) -> None:
    parts = (type(config.model.encoder), type(config.model.decoder))
    if parts != (lstm_models.BidirectionalLstmEncoder, lstm_models.GrooveLstmDecoder):
        raise UsageError("the model must be a BidirectionalLstmEncoder and a GrooveLstmDecoder")
    if config.note_sequence_augmenter is not None:
        raise UsageError("a note_sequence_augmenter is not supported; leave it None")
