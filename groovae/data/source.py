"""DataSource: the records that training and evaluation read, and how windows are cut from them."""

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
    """Raise a GroovaeError if there are no windows."""
    if not report.windows:
        raise GroovaeError(f"{name}: no window to evaluate on: {report}")


@dataclass
class DataSource:
    """Where windows come from; the defaults are those of `groovae evaluate`.

    Attributes:
      examples_path: A TFRecord of NoteSequences, or a glob of them.
      tfds_name: A TensorFlow Datasets (TFDS) set instead, such as `groove/4bar-midionly`.
      tfds_data_dir: Directory of TFDS sets; `~/tensorflow_datasets` by default.
      split: Split of the TFDS set: `train`, `validation` or `test`.
      hop_bars: See `config_map.layout`; likewise the following.
      unmapped_pitches: What to do with drum notes without a class: `drop`, `nearest` or `error`.
      all_notes: Use notes of all tracks as drums, not only notes flagged is_drum.
    """

    examples_path: str = "data_dir/music-validation.tfrecord"
    tfds_name: str | None = None
    tfds_data_dir: str | None = None
    split: str = "validation"
    hop_bars: int | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False

    def examples(self) -> records.Examples:
        """Find the records; raise a GroovaeError if there are none."""
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
        """Load the windows for a config, and log their report.

        Args:
          config: A key of `CONFIG_MAP`, or a Config.
          fallback_dir: See `window_cache.load`; likewise `keep`.
          log: Gets progress lines and the report.
          keep: Keep the cache file.
          check: Called with the records' name and the report; raises if they are not usable.

        Raises:
          GroovaeError: the records cannot be read, or there are no windows.
        """
        layout = config_map.layout(config, self.hop_bars, self.unmapped_pitches, self.all_notes)
        examples = self.examples()
        windows = window_cache.load(examples, layout, fallback_dir, log, keep)
        log(windows.report.summary(examples.name))
        check(examples.name, windows.report)
        return windows
