"""What every network can do, in TensorFlow or in onnxruntime: encode and decode."""

from typing import Protocol

import numpy as np

from groovae.config.layout import Layout

Played = tuple[np.ndarray, np.ndarray]


class Network(Protocol):
    """`network.TensorFlowNetwork` or `runtime.OnnxNetwork`."""

    layout: Layout
    z_size: int

    def encode(self, inputs: np.ndarray, controls: np.ndarray) -> Played: ...

    def decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Played: ...
