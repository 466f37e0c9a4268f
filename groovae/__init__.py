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
    "CONFIG_MAP": "groovae.configs",
    "Config": "groovae.configs",
    "GroovaeError": "groovae.errors",
    "UsageError": "groovae.errors",
    "convert_directory": "groovae.preprocess",
    "draw": "groovae.render",
    "figure": "groovae.render",
    "get_config": "groovae.configs",
    "load_model": "groovae.generate",
    "play": "groovae.sound",
    "preview": "groovae.render",
    "read_sequence": "groovae.conversion",
    "update_config": "groovae.configs",
    "write_midi": "groovae.midi",
    "write_sequence": "groovae.midi",
    "write_wav": "groovae.sound",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'groovae' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
