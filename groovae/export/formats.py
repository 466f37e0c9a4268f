"""The export formats: the storage types of each, and the licence that every export states."""

from groovae.errors import UsageError

# Storage types of the weights, by format.
DTYPES = {
    "onnx": ("float32", "float16", "int8"),
    "magentajs": ("float32", "float16", "uint16", "uint8"),
}
LICENCE = (
    "That of the data the model was trained on. The Groove MIDI Dataset is by Google LLC, "
    "CC BY 4.0, https://magenta.tensorflow.org/datasets/groove"
)


def check_dtype(export_format: str, dtype: str) -> None:
    """Raise a UsageError if the format cannot store weights as `dtype`."""
    if dtype not in DTYPES[export_format]:
        raise UsageError(
            f"format {export_format} does not support dtype {dtype}; use one of "
            f"{', '.join(DTYPES[export_format])}"
        )
