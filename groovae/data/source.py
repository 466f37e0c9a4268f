"""Which records, and which windows of them: what training and evaluation read."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groovae.config import config_map
from groovae.data import records, window_cache
from groovae.data.window_cache import CachedWindows
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.system.log import Log


def check_not_empty(name: str, report: WindowReport) -> None:
    if not report.windows:
        raise GroovaeError(f"{name}: no window to evaluate on: {report}")


@dataclass
class DataSource:
    """Which windows to train or evaluate on; the defaults are those of `groovae evaluate`.

    Attributes:
      examples_path: A TFRecord of NoteSequences, or a glob of them.
      tfds_name: A TensorFlow Datasets set instead, such as `groove/4bar-midionly`.
      tfds_data_dir: Where TFDS keeps its sets; `~/tensorflow_datasets` where it is None.
      split: Of the TFDS set: `train`, `validation` or `test`.
      hop_bars: Bars from the start of a window to the next; a whole window where it is None.
      unmapped_pitches: What becomes of drum notes without a class: `drop`, `nearest` or `error`.
      all_notes: Take the notes of all tracks for drums, not only those that say they are.
    """

    examples_path: str = "data_dir/music-validation.tfrecord"
    tfds_name: str | None = None
    tfds_data_dir: str | None = None
    split: str = "validation"
    hop_bars: int | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False

    def examples(self) -> records.Examples:
        """The records; raises a GroovaeError where there are none."""
        if self.tfds_name:
            return records.from_tfds(self.tfds_name, self.tfds_data_dir, self.split)
        return records.find(self.examples_path)

    def load(
        self,
        config: Any,
        fallback_dir: Path,
        log: Log,
        keep: bool = True,
        check: Callable[[str, WindowReport], None] = check_not_empty,
    ) -> CachedWindows:
        """The windows, cut for a config, and their account told.

        Args:
          config: The config.
          fallback_dir: See `cache.load`; likewise `keep`.
          log: Gets each line that tells what is about to happen.
          keep: Leave the windows' file for the next time.
          check: Gets the records' name and the account, and raises where they do not do.

        Raises:
          GroovaeError: the records cannot be read, or by `check`, there are no windows.
        """
        layout = config_map.layout(config, self.hop_bars, self.unmapped_pitches, self.all_notes)
        examples = self.examples()
        windows = window_cache.load(examples, layout, fallback_dir, log, keep)
        log(windows.report.summary(examples.name))
        check(examples.name, windows.report)
        return windows
