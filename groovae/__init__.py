"""groovae: Magenta's GrooVAE drum model on today's Python.

The public names below load on first use, so `import groovae` stays light: TensorFlow is imported
only when one of them is asked for.

    import groovae
    model = groovae.load_model(".train")
    groovae.write_sequence("groove.mid", model.sample(temperature=0.5)[0])
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "CONFIG_MAP": "groovae.config.config_map",
    "Config": "groovae.config.config_map",
    "GroovaeError": "groovae.errors",
    "UsageError": "groovae.errors",
    "convert_directory": "groovae.data.preprocess",
    "draw": "groovae.music.picture",
    "figure": "groovae.music.picture",
    "get_config": "groovae.config.config_map",
    "load_model": "groovae.generation.groove_model",
    "play": "groovae.music.sound",
    "preview": "groovae.music.picture",
    "read_sequence": "groovae.data.conversion",
    "update_config": "groovae.config.config_map",
    "write_midi": "groovae.music.midi_writer",
    "write_sequence": "groovae.music.midi_writer",
    "write_wav": "groovae.music.sound",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'groovae' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
