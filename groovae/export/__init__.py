"""Trained models as files that other programs can play: ONNX, and magenta.js.

These formats want the same of a checkpoint: its configuration and its weights (`weights`). What a
format makes of them lies in a module of its own.
"""

# How weights can be stored, by format.
DTYPES = {
    "onnx": ("float32", "float16", "int8"),
    "magentajs": ("float32", "float16", "uint16", "uint8"),
}
LICENCE = (
    "That of the data the model was trained on. The Groove MIDI Dataset is by Google LLC, "
    "CC BY 4.0, https://magenta.tensorflow.org/datasets/groove"
)
