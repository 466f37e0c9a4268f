"""Import optional packages."""

import importlib
from typing import Any

from groovae.errors import GroovaeError


def need_package(name: str) -> Any:
    """Import a package of the extra `export`; raise a GroovaeError with the install command."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise GroovaeError(
            f"the package {error.name} is not installed: run `pip install onnx onnxruntime`"
        ) from error
