"""DataSource: the records that training and evaluation read, and how windows are cut from them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from groovae.config.layout import Layout, adapt_layout
from groovae.data import records, window_cache
from groovae.data.window_cache import CachedWindows
from groovae.data.window_report import WindowReport
from groovae.errors import GroovaeError
from groovae.music.drums import read_drum_map
from groovae.system.log import Log

# How a model's training cut its windows, in its config.json beside meter and drum map.
TRAINED_WINDOWS = ("hop_bars", "unmapped_pitches", "all_notes", "tempo_changes")


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
      hop_bars: See `adapt_layout`; likewise the following.
      unmapped_pitches: What to do with drum notes without a class: `drop`, `nearest` or `error`.
      all_notes: Use notes of all tracks as drums, not only notes flagged is_drum.
      tempo_changes: `skip` or `follow`.
      drum_map: A drum map as of `drums.read_drum_map`; by default that of the config, which for
        a checkpoint is the one it was trained with.
    """

    examples_path: str = "data_dir/music-validation.tfrecord"
    tfds_name: str | None = None
    tfds_data_dir: str | None = None
    split: str = "validation"
    hop_bars: int | None = None
    unmapped_pitches: str = "drop"
    all_notes: bool = False
    tempo_changes: str = "skip"
    drum_map: str | None = None

    def adapt(self, layout: Layout) -> Layout:
        """Return how windows are cut for a model of this layout."""
        return adapt_layout(
            layout,
            hop_bars=self.hop_bars,
            unmapped_pitches=self.unmapped_pitches,
            all_notes=self.all_notes,
            tempo_changes=self.tempo_changes,
            drum_map=read_drum_map(self.drum_map) if self.drum_map else None,
        )

    def examples(self) -> records.Examples:
        """Find the records; raise a GroovaeError if there are none."""
        if self.tfds_name:
            return records.from_tfds(self.tfds_name, self.tfds_data_dir, self.split)
        return records.find(self.examples_path)

    def load(
        self,
        layout: Layout,
        fallback_dir: Path,
        log: Log,
        keep: bool = True,
        check: Callable[[str, WindowReport], None] = check_not_empty,
    ) -> CachedWindows:
        """Load the windows for a model, and log their report.

        Args:
          layout: That of the model, from its config or its export.
          fallback_dir: See `window_cache.load`; likewise `keep`.
          log: Gets progress lines and the report.
          keep: Keep the cache file.
          check: Called with the records' name and the report; raises if they are not usable.

        Raises:
          GroovaeError: the records cannot be read, or there are no windows.
        """
        examples = self.examples()
        windows = window_cache.load(examples, self.adapt(layout), fallback_dir, log, keep)
        log(windows.report.summary(examples.name))
        check(examples.name, windows.report)
        return windows
