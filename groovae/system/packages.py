"""Packages that not every install has."""

import importlib
from typing import Any

from groovae.errors import GroovaeError


def need_package(name: str) -> Any:
    """Imports a package of the extra `export`; raises a GroovaeError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise GroovaeError(
            f"the package {error.name} is not installed: run `pip install onnx onnxruntime`"
        ) from error
