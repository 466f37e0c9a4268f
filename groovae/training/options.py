"""The options of a training; their defaults are those of `groovae train`."""

import dataclasses
from collections.abc import Sequence

from groovae.config.tasks import WHOLE_GROOVES
from groovae.errors import MAX_WHOLE, check_number, check_whole

# The least and the largest value of whole numbers.
RANGES = {
    "num_steps": (0, MAX_WHOLE),
    "eval_every": (1, MAX_WHOLE),
    "early_stop_patience": (0, MAX_WHOLE),
    "checkpoints_to_keep": (0, MAX_WHOLE),
    "save_checkpoint_secs": (1, MAX_WHOLE),
    "save_checkpoint_steps": (0, MAX_WHOLE),
    "num_sync_workers": (0, 1000),
    "num_ps_tasks": (0, 1000),
    "task": (0, 1000),
}


@dataclasses.dataclass
class TrainOptions:
    """What to train, on which data, and how.

    Attributes:
      train_dir: Folder for checkpoints, event files, metrics.csv and config.json.
      examples_path: A TFRecord of NoteSequences, or a glob of them.
      config: A key of `CONFIG_MAP`; by default that of the training to resume, with its hparams, or
        else groovae_4bar.
      hparams: `name=value,...` to merge with the config's; of several, a later one wins.
      tfds_name: A TensorFlow Datasets set to train on instead, such as `groove/4bar-midionly`.
      tfds_data_dir: Folder of the TFDS sets; None for `~/tensorflow_datasets`.
      hop_bars: Bars from the start of a window to the next; None for a whole window.
      unmapped_pitches: What to do with drum notes without a class: `drop`, `nearest` or `error`.
      all_notes: Use the notes of all tracks as drums, not only notes flagged is_drum.
      tempo_changes: What to do with sequences whose tempo changes: `skip` them, or `follow` the
        tempo map.
      meter: Meter of the sequences to train on, such as `3/4`; by default that of the training to
        resume, or else 4/4. Likewise `drum_map`.
      augment: Random changes to the windows, of `velocity`, `timing`, `drums` and `tempo`, with
        commas between; see data/augment.py.
      drum_map: The pitches of each drum class: `gm`, `roland` or a JSON file; by default those of
        the config.
      init_checkpoint: A checkpoint whose weights a new training starts from.
      eval_examples_path: A TFRecord, or a glob of them, for validation; windows do not overlap.
      eval_every: Evaluate every N-th checkpoint.
      early_stop_patience: Evaluations without a lower loss before an early stop; 0 for never.
      num_steps: Global step to stop at; 0 to train until stopped.
      checkpoints_to_keep: Number of newest checkpoints to keep; 0 for all.
      keep_checkpoint_every_n_hours: Hours between checkpoints that are never deleted.
      save_checkpoint_secs: Seconds between checkpoints.
      save_checkpoint_steps: Steps between checkpoints instead; 0 to use seconds.
      cache_dataset: Keep the windows in a file beside the records for the next start.
      master: TensorFlow server to run on.
      num_sync_workers: Number of synchronous replicas, which share the batch; 0 if asynchronous.
      num_ps_tasks: Number of parameter servers.
      task: Number of this worker; 0 for the chief.
      rnn: Compute the LSTM `layerwise`, or by the graph of `magenta`; None for that of the training
        to resume, or else layerwise.
      matmul_precision: Of layerwise matrix products: `float32`, `bfloat16`, or `auto` for that of
        the training to resume, or else what is faster.
      seed: For initial weights, order of windows, dropout and z; None for a random one.
    """

    train_dir: str = ".train"
    examples_path: str = "data_dir/music.tfrecord"
    config: str | None = None
    hparams: str | Sequence[str] = ""
    tfds_name: str | None = None
    tfds_data_dir: str | None = None
    hop_bars: int | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False
    tempo_changes: str = "skip"
    meter: str | None = None
    drum_map: str | None = None
    augment: str = ""
    init_checkpoint: str | None = None
    eval_examples_path: str | None = None
    eval_every: int = 1
    early_stop_patience: int = 0
    num_steps: int = 50000
    checkpoints_to_keep: int = 5
    keep_checkpoint_every_n_hours: float = 1.0
    save_checkpoint_secs: int = 60
    save_checkpoint_steps: int = 0
    cache_dataset: bool = True
    master: str = ""
    num_sync_workers: int = 0
    num_ps_tasks: int = 0
    task: int = 0
    rnn: str | None = None
    matmul_precision: str = "auto"
    seed: int | None = None

    @property
    def config_name(self) -> str:
        """The config; `train` replaces None by that of the training to resume."""
        return self.config or WHOLE_GROOVES

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            check_whole(name, getattr(self, name), least, most)
        check_number("keep_checkpoint_every_n_hours", self.keep_checkpoint_every_n_hours, 0)
        if self.seed is not None:
            check_whole("seed", self.seed, 0)
