"""groovae info: summarize a MIDI file, a Groove MIDI Dataset folder, a TFRecord or a model.

Usage: groovae info FILE.mid [--drums=...] [--drum_map=...] [--json]
       groovae info DIR [--json]
       groovae info FILE.tfrecord [--flags]
       groovae info MODEL [--json]

For a MIDI file, shows its tempo map, meters, bars and tracks, which notes are drums, how often each
pitch of each drum class is hit, and the pitches without a class, with a proposal for a drum map.
For a folder, reads DIR/info.csv and shows files, hours and tempo by split, style and meter, and how
many of the listed files are missing. For a TFRecord, or a quoted glob of them, shows how many
training windows the config gets from the records, what is lost and why. For a model, which is a
training folder, the prefix of a checkpoint or the folder of an ONNX export, shows its config and
the styles and directions of its fitted prior, for `sample --style` and `vary --more`.

Examples:
  groovae info take.mid
  groovae info data_dir/groove
  groovae info data_dir/music.tfrecord
  groovae info 'data_dir/music.tfrecord-*' --config=groovae_2bar_humanize --hop_bars=1 --json
  groovae info .train/best"""

import json
import os
from pathlib import Path
from typing import Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    define_config,
    define_drums,
    define_layout,
    define_meter,
    layout_options,
)
from groovae.cli.output import print_json, print_text
from groovae.data.music_files import KINDS, suffix_of
from groovae.errors import GroovaeError, UsageError, first_line

MAX_MIDI_BYTES = 100_000_000


def define_flags(values: flags.FlagValues) -> None:
    define_config(values, "Config to count training windows for")
    define_layout(values)
    define_meter(values)
    define_drums(values)
    flags.DEFINE_bool("json", False, "Print one JSON object.", values)


def run(values: Any, positional: list[str]) -> None:
    (path,) = check_arguments(positional, "FILE.mid, DIR, FILE.tfrecord or MODEL")
    if os.path.basename(path) == "info.csv":
        path = os.path.dirname(path) or "."
    full_path, name = os.path.expanduser(path), os.path.basename(path)
    # A missing path without a dot or a wildcard was meant to be a folder.
    is_named_like_a_file = any(mark in name for mark in ".*?[")
    is_file = os.path.isfile(full_path) or (is_named_like_a_file and not os.path.isdir(full_path))
    if (folder := _model_folder(full_path)) is not None:
        _show_model(path, folder, values)
    elif is_file and KINDS.get(suffix_of(name) or "") == "MIDI":
        _show_midi(path, values)
    else:
        (_show_records if is_file else _show_folder)(path, values)


def _model_folder(path: str) -> Path | None:
    """Return the folder of a model, also of a bundled one by its name; None if it is not one."""
    from groovae.generation.bundled import find_bundled
    from groovae.model.formats import is_onnx_export

    path = find_bundled(path) or path
    folder = Path(path) if os.path.isdir(path) else Path(path).parent
    indices = folder.glob("*.index") if os.path.isdir(path) else [Path(f"{path}.index")]
    is_model = is_onnx_export(path) or any(index.is_file() for index in indices)
    return folder if is_model else None


def _show_model(path: str, folder: Path, values: Any) -> None:
    from groovae.config.config_file import CONFIG_FILE
    from groovae.model.formats import is_onnx_export
    from groovae.model.onnx_network import export_fingerprint, read_export
    from groovae.model.prior import PRIOR_FILE, read_prior
    from groovae.system.regular_files import read_json

    try:
        config = read_json(folder / CONFIG_FILE)
        name, z_size = str(config["config"]), int(config["hparams"]["z_size"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GroovaeError(
            f"{folder / CONFIG_FILE}: not the config.json of a model ({first_line(error)}); "
            "name a folder that `groovae train` or `groovae export --format=onnx` wrote"
        ) from error
    is_export = is_onnx_export(folder)
    # Reading the weights of a checkpoint would take TensorFlow.
    model = export_fingerprint(read_export(folder)[0]) if is_export else ""
    prior = read_prior(folder / PRIOR_FILE, z_size, model)
    about = None
    if prior is not None:
        about = {
            "components": len(prior.weights),
            "windows": prior.windows,
            "styles": prior.shares(),
            "directions": sorted(prior.directions),
        }
    if values.json:
        print_json({"model": path, "config": name, "z_size": z_size, "prior": about})
        return
    print_text(f"{path}: {name}, z of {z_size} dimensions")
    if prior is None:
        print_text("no fitted prior: `groovae sample` draws z from N(0, I); see groovae fit_prior")
        return
    print_text(f"fitted prior: {len(prior.weights)} Gaussians, {prior.windows:,} windows")
    shares = ", ".join(f"{style} {share:.1%}" for style, share in prior.shares().items())
    print_text(f"styles: {shares or 'none known'}")
    print_text(f"directions: {', '.join(sorted(prior.directions)) or 'none'}")


def _show_midi(path: str, values: Any) -> None:
    from groovae.music.drums import GM, read_drum_map
    from groovae.music.midi_reader import BrokenMidi
    from groovae.music.midi_summary import summarize_midi
    from groovae.system.regular_files import read_regular

    drum_map = read_drum_map(values.drum_map) if values.drum_map else GM
    try:
        data = read_regular(os.path.expanduser(path), MAX_MIDI_BYTES)
        summary = summarize_midi(data, values.drums, drum_map)
    except (OSError, BrokenMidi) as error:
        reason = getattr(error, "strerror", None) or error
        raise GroovaeError(f"{path}: cannot be read: {reason}") from error
    except UsageError:
        raise
    except GroovaeError as error:
        raise GroovaeError(f"{path}: {error}") from error
    if values.json:
        print_json(summary)
    else:
        print_text("\n".join(_midi_lines(path, summary)))


def _midi_lines(path: str, summary: dict[str, Any]) -> list[str]:
    tempos = ", ".join(f"{mark['qpm']:g} from bar {mark['bar']}" for mark in summary["tempos"])
    meters = ", ".join(f"{mark['meter']} from bar {mark['bar']}" for mark in summary["meters"])
    lines = [
        f"{path}: {summary['bars']:,} bars, {summary['drum_hits']:,} drum hits",
        f"tempo (bpm): {tempos}",
        f"meter: {meters}",
        *(
            f"track {one['track']}{' ' + one['name'] if one['name'] else ''}, channel "
            f"{one['channel']}: {one['notes']:,} notes{', drums' if one['is_drums'] else ''}"
            for one in summary["tracks"]
        ),
        *(f"note: {text}" for text in summary["notes"]),
    ]
    for name, pitches in summary["pitches"].items():
        if pitches:
            counts = ", ".join(f"{count:,} at pitch {pitch}" for pitch, count in pitches.items())
            lines.append(f"{name}: {counts}")
    for pitch, about in summary["unmapped_pitches"].items():
        lines.append(f"no drum class: {about['hits']:,} at pitch {pitch} ({about['name']})")
    if summary["proposed_drum_map"]:
        drum_map = json.dumps(summary["proposed_drum_map"])
        lines.append(f"save as map.json, edit and use --drum_map=map.json: {drum_map}")
    return lines


def _show_records(path: str, values: Any) -> None:
    from groovae.config.layout import layout_of
    from groovae.data import records
    from groovae.data.grid import count_windows
    from groovae.data.window_report import WindowReport

    layout = layout_of(values.config, meter=values.meter, **layout_options(values))
    examples, report = records.find(path), WindowReport()
    for counted in examples.map(lambda sequence: count_windows(sequence, layout)):
        report.add(counted)
    if not values.json:
        print_text(report.summary(path))
        return
    print_json(
        {
            "files": list(examples.files),
            "config": values.config,
            "layout": layout.report_fields(),
            "windows": report.as_dict(),
        }
    )


def _show_folder(folder: str, values: Any) -> None:
    from groovae.data.groove_midi_dataset import read_info, summarize

    summary = summarize(read_info(folder))
    if values.json:
        print_json(summary)
        return
    tempo = summary["tempo_bpm"]
    print_text(
        f"{folder}: {summary['files']:,} files, {summary['hours']:.1f} hours, "
        f"{summary['drummers']} drummers, {tempo['min']:.0f} to {tempo['max']:.0f} bpm "
        f"(median {tempo['median']:.0f})"
    )
    if summary["missing_files"]:
        print(f"{summary['missing_files']:,} of the files listed in info.csv are missing")
    for title in ("splits", "styles", "meters"):
        _print_table(title[:-1], summary[title])


def _print_table(title: str, table: dict[str, dict[str, Any]]) -> None:
    width = max(len(title), *map(len, table))
    print(f"\n{title:<{width}}  {'files':>6} {'hours':>6} {'beats':>6} {'fills':>6} {'bpm':>5}")
    for name, row in table.items():
        print_text(
            f"{name:<{width}}  {row['files']:>6,} {row['hours']:>6.2f} {row['beats']:>6,} "
            f"{row['fills']:>6,} {row['median_bpm']:>5.0f}"
        )
