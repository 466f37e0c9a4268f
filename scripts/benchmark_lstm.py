"""Compare a training step of Magenta's graph with that of the layerwise one, in one process.

    python scripts/benchmark_lstm.py                   all models: 10 minutes on 2 cores
    python scripts/benchmark_lstm.py cpu --steps=20    one of: full, cpu, scheduled

Runs in the environment of groovae: `.venv/bin/python`. The graphs run in turns, on random windows.
`full` is groovae_4bar, `cpu` the model of configs/cpu.flags, `scheduled` a model of half the size
that is told the hits and trains on its own outputs. A table in Markdown goes to stdout: the
seconds to make the graph, of its first step, and of a step (median of all but the first), and the
processor time of a step. Run nothing else meanwhile, and compare ratios, not seconds.
"""

import argparse
import os
import time
from statistics import median
from typing import Any

import numpy as np

from groovae.config.config_map import get_config
from groovae.model.lstm import layerwise
from groovae.training.graph import training_graph
from groovae.upstream import keep_freed_memory, tf

HALF = "batch_size=128,enc_rnn_size=[256],dropout_keep_prob=0.9"
MODELS = {
    "full": ("groovae_4bar", ""),
    "cpu": ("groovae_4bar", f"{HALF},dec_rnn_size=[128,128],z_size=128"),
    "scheduled": (
        "groovae_2bar_hits_control_tfds",
        f"{HALF},dec_rnn_size=[256,256],z_size=32,sampling_schedule=constant,sampling_rate=1.0",
    ),
}
GRAPHS = ("magenta", "float32", "bfloat16")


class Training:
    """A training graph with a session, and the seconds of its steps."""

    def __init__(self, config: Any, graph: str):
        start = time.perf_counter()
        with tf.Graph().as_default():
            tf.set_random_seed(1)
            self._graph = training_graph(config if graph == "magenta" else layerwise(config, graph))
            self._session = tf.Session()
            self._session.run(tf.global_variables_initializer())
        self.seconds_to_build = time.perf_counter() - start
        self._feed = random_batch(self._graph.inputs, config.hparams)
        self.steps: list[tuple[float, float]] = []  # seconds, processor seconds

    def step(self) -> None:
        start, cpu_start = time.perf_counter(), sum(os.times()[:2])
        self._session.run(self._graph.train_op, self._feed)
        self.steps.append((time.perf_counter() - start, sum(os.times()[:2]) - cpu_start))

    def row(self) -> list[float]:
        seconds, processor = ([*times] for times in zip(*self.steps[1:], strict=True))
        return [self.seconds_to_build, self.steps[0][0], median(seconds), median(processor)]


def random_batch(inputs: dict[str, Any], hparams: Any) -> dict[Any, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = [hparams.batch_size, hparams.max_seq_len]
    batch = {
        tensor: (rng.random([*shape, int(tensor.shape[-1])]) > 0.9).astype(np.float32)
        for name, tensor in inputs.items()
        if tensor is not None and name != "sequence_length"
    }
    return batch | {inputs["sequence_length"]: np.full(shape[0], shape[1])}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help=f"{', '.join(MODELS)}; default: all")
    parser.add_argument("--graphs", default=",".join(GRAPHS), help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=5, help="steps of each (default 5)")
    options = parser.parse_args()
    keep_freed_memory()
    print("| model | graph | build | first step | step | processor time |")
    print("|---|---|--:|--:|--:|--:|")
    for model in options.models or MODELS:
        graphs = options.graphs.split(",")
        trainings = {graph: Training(get_config(*MODELS[model]), graph) for graph in graphs}
        for _ in range(options.steps + 1):
            for training in trainings.values():
                training.step()
        for graph, training in trainings.items():
            cells = [f"{seconds:.2f} s" for seconds in training.row()]
            print(" | ".join(["", model, graph, *cells, ""]).strip(), flush=True)


if __name__ == "__main__":
    main()
