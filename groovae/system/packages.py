"""Import optional packages."""

import importlib
import os
from typing import Any

from groovae.errors import GroovaeError


def need_package(name: str) -> Any:
    """Import a package of the extra `export`; raise a GroovaeError with the install command.

    onnxruntime 1.32 can report its use to Microsoft, for which it writes a file `.ses` to the
    temporary folder when it is imported. This is disabled, unless the user has set the variable.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise GroovaeError(
            f"the package {error.name} is not installed: run `pip install onnx onnxruntime`"
        ) from error
