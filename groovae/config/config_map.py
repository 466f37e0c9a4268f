"""The GrooVAE configurations: model, hparams and data converter by name.

`CONFIG_MAP["groovae_4bar"]` is written out below and equals Magenta's. The other configs come from
Magenta 2.1.4, but for five: `groovae_2bar` is `groovae_4bar` with windows of 2 bars, of which z
keeps more. `groovae_2bar_humanize_hits` and `groovae_2bar_transfer_hits` give the decoder the hits
to play as controls, `groovae_2bar_tap_context` and `groovae_2bar_add_closed_hh_context` the
encoder's inputs, each with those of half a bar before and after, so that z need not carry them. The
first of them gives the tempo as well. `get_config` returns a fresh copy of an entry, because a
model that has been built can be neither built again nor copied.

A training folder keeps its configuration in `config.json`, which sampling and resuming read.
"""

import copy
import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae import __version__
from groovae.config.config_file import (
    CONFIG_FILE,
    check_same_model,
    override_hparams,
    read_config,
)
from groovae.config.controls import make_controls
from groovae.config.description import OF_CONTEXT, OWN_HPARAMS, check_converter, check_hparams
from groovae.config.layout import (
    BUILT_IN,
    LAYOUTS,
    Layout,
    adapt_layout,
    format_meter,
    layout_of,
    layout_of_converter,
    no_such_config,
    parse_meter,
)
from groovae.config.pretrained import pretrained_config
from groovae.errors import GroovaeError, UsageError
from groovae.music.drums import DrumMap, check_drum_map
from groovae.music.tempo import tempo_of
from groovae.system.atomic_files import write_json
from groovae.upstream import (
    MusicVAE,
    lstm_models,
    magenta_configs,
    magenta_data,
    merge_hparams,
)

Config: Any = magenta_configs.Config
HParams: Any = magenta_configs.HParams
update_config = magenta_configs.update_config

CONFIG_MAP: dict[str, Any] = {}

CONFIG_MAP["groovae_4bar"] = Config(
    model=MusicVAE(
        lstm_models.BidirectionalLstmEncoder(),
        lstm_models.GrooveLstmDecoder(),
    ),
    hparams=merge_hparams(
        lstm_models.get_default_hparams(),
        HParams(
            batch_size=512,
            max_seq_len=16 * 4,  # 4 bars of 16 steps
            z_size=256,
            enc_rnn_size=[512],
            dec_rnn_size=[256, 256],
            max_beta=0.2,
            free_bits=48,
            dropout_keep_prob=0.3,
        ),
    ),
    note_sequence_augmenter=None,
    data_converter=magenta_data.GrooveConverter(
        split_bars=4,
        steps_per_quarter=4,
        quarters_per_bar=4,
        max_tensors_per_notesequence=20,
        pitch_classes=magenta_data.ROLAND_DRUM_PITCH_CLASSES,
        inference_pitch_classes=magenta_data.REDUCED_DRUM_PITCH_CLASSES,
    ),
    train_examples_path="data_dir/music.tfrecord",
)


class ContextConverter(magenta_data.GrooveConverter):
    """Magenta's converter with other controls; see `Layout` for the arguments that are new."""

    def __init__(
        self,
        *,
        inputs_as_controls: bool = False,
        control_context_steps: int = 0,
        tempo_as_control: bool = False,
        **arguments: Any,
    ):
        super().__init__(**arguments)
        self.inputs_as_controls = inputs_as_controls
        self.control_context_steps = control_context_steps
        self.tempo_as_control = tempo_as_control
        self._control_depth = _layout_of(self).control_depth
        self._control_dtype = np.float32

    def to_tensors(self, item: Any) -> Any:
        tensors, layout = super().to_tensors(item), _layout_of(self)
        pairs = zip(tensors.inputs, tensors.outputs, strict=True)
        tempo_qpm = tempo_of(item)
        controls = [make_controls(*pair, layout, tempo_qpm) for pair in pairs]
        return tensors._replace(controls=controls)


CONFIG_MAP.update(
    (name, config)
    for name, config in magenta_configs.CONFIG_MAP.items()
    if name.startswith("groovae_") and name not in CONFIG_MAP
)


def converter_arguments(converter: Any) -> dict[str, Any]:
    """Return the arguments of a GrooveConverter from its private attributes."""
    arguments = {
        "split_bars": converter._split_bars,
        "steps_per_quarter": converter._steps_per_quarter,
        "quarters_per_bar": converter._steps_per_bar // converter._steps_per_quarter,
        "max_tensors_per_notesequence": converter.max_tensors_per_notesequence,
        "pitch_classes": converter._pitch_classes,
        "inference_pitch_classes": converter._infer_pitch_classes,
        "humanize": converter._humanize,
        "tapify": converter._tapify,
        "add_instruments": converter._add_instruments,
        "num_velocity_bins": converter._num_velocity_bins,
        "num_offset_bins": converter._num_offset_bins,
        "split_instruments": converter._split_instruments,
        "hop_size": converter._hop_size,
        "hits_as_controls": converter._hits_as_controls,
        "fixed_velocities": converter._fixed_velocities,
        "max_note_dropout_probability": converter._max_note_dropout_probability,
    }
    for name in OF_CONTEXT:
        if value := getattr(converter, name, 0):
            arguments[name] = value
    return arguments


def _layout_of(converter: Any) -> Layout:
    return layout_of_converter(converter_arguments(converter), _meter_of(converter))


def _meter_of(converter: Any) -> tuple[int, int]:
    quarters = converter._steps_per_bar // converter._steps_per_quarter
    return getattr(converter, "meter", (quarters, 4))


def _make_converter(arguments: Mapping[str, Any]) -> Any:
    """Return Magenta's converter, or one of ours if the arguments are not all Magenta's."""
    has_context = not arguments.keys().isdisjoint(OF_CONTEXT)
    return (ContextConverter if has_context else magenta_data.GrooveConverter)(**arguments)


def _with_arguments(config_name: str, **changes: Any) -> Any:
    """Return a config with other arguments of its converter, and windows of its length."""
    config = copy.deepcopy(CONFIG_MAP[config_name])
    converter = _make_converter(converter_arguments(config.data_converter) | changes)
    config.hparams.set_hparam("max_seq_len", _layout_of(converter).window_steps)
    return update_config(config, {"data_converter": converter})


HALF_BAR_OF_HITS = {"hits_as_controls": True, "control_context_steps": 8}
HALF_BAR_OF_INPUTS = {"inputs_as_controls": True, "control_context_steps": 8}

CONFIG_MAP |= {
    "groovae_2bar": _with_arguments("groovae_4bar", split_bars=2),
    "groovae_2bar_humanize_hits": _with_arguments(
        "groovae_2bar_humanize", **HALF_BAR_OF_HITS, tempo_as_control=True
    ),
    "groovae_2bar_transfer_hits": _with_arguments(
        "groovae_2bar_hits_control_tfds", **HALF_BAR_OF_HITS
    ),
    "groovae_2bar_tap_context": _with_arguments(
        "groovae_2bar_tap_fixed_velocity", **HALF_BAR_OF_INPUTS
    ),
    "groovae_2bar_add_closed_hh_context": _with_arguments(
        "groovae_2bar_add_closed_hh", **HALF_BAR_OF_INPUTS
    ),
}


def get_config(
    name: str = "groovae_4bar",
    hparams: str | Sequence[str] = "",
    meter: str | None = None,
    drum_map: DrumMap | None = None,
) -> Any:
    """Return a fresh, unbuilt copy of a configuration, with hparams merged in.

    Args:
      name: A key of `CONFIG_MAP`.
      hparams: `name=value,...` as in Magenta, such as `batch_size=64,enc_rnn_size=[64]`, or several
        of these, of which a later one wins.
      meter: Meter of the windows, such as `3/4`; by default that of the config, 4/4.
      drum_map: The pitches of each drum class; by default those of the config.

    Raises:
      UsageError: no such config, no such hparam, a value of the wrong type or range, or a meter
        that does not fit.
    """
    if name not in CONFIG_MAP:
        raise no_such_config(name, CONFIG_MAP)
    return adapt_config(copy.deepcopy(CONFIG_MAP[name]), hparams, meter, drum_map)


def adapt_config(
    config: Any,
    hparams: str | Sequence[str] = "",
    meter: str | None = None,
    drum_map: DrumMap | None = None,
) -> Any:
    """Return a fresh config with the options of `get_config`."""
    if meter or drum_map:
        config = _with_converter(config, meter, drum_map)
    return _merge_hparams(config, hparams)


def config_json(name: str, config: Any) -> dict[str, Any]:
    """Return what `config.json` holds about a configuration: plain values in a fixed order."""
    contents = {
        "config": name,
        "hparams": dict(sorted(config.hparams.values().items())),
        "data_converter": converter_arguments(config.data_converter),
        "meter": format_meter(_meter_of(config.data_converter)),
        "drum_map": drum_map_of(config),
    }
    return json.loads(json.dumps(contents))  # tuples become lists, as when it is read back


def config_from_json(description: Mapping[str, Any]) -> Any:
    """Return the Config that a `config.json` describes by its values alone, whatever its name.

    This is how the config of a user is kept: no file that defines one is needed, or run, to load a
    model. Model, hparams and the converter's arguments are all that it may choose.

    Raises:
      UsageError: a value is missing, of another type, out of range, or contradicts another.
    """
    arguments, meter = dict(description["data_converter"]), description.get("meter") or "4/4"
    steps = check_converter(arguments, meter).window_steps
    converter = _make_converter(arguments)
    converter.meter, converter.drum_map = parse_meter(meter), None
    if description.get("drum_map"):
        converter.drum_map = check_drum_map(description["drum_map"])
    hparams = lstm_models.get_default_hparams()
    _add_own_hparams(hparams)
    if unknown := description["hparams"].keys() - hparams.values().keys():
        raise UsageError(f"no hparam is called {min(unknown)!r}")
    check_hparams(hparams.values() | description["hparams"])
    for name, value in description["hparams"].items():
        hparams.set_hparam(name, value)
    if hparams.max_seq_len != steps:
        raise UsageError(
            f"hparam max_seq_len must be {steps}, the steps of a window, got {hparams.max_seq_len}"
        )
    config = copy.deepcopy(CONFIG_MAP["groovae_4bar"])
    return update_config(config, {"hparams": hparams, "data_converter": converter})


def drum_map_of(config: Any) -> DrumMap | None:
    """Return the drum map that `get_config` was given for a Config; None for the config's own."""
    return getattr(config.data_converter, "drum_map", None)


def layout(config: Any, **options: Any) -> Layout:
    """Return the Layout of a configuration.

    Args:
      config: A key of `CONFIG_MAP`, or a Config.
      options: See `groovae.config.layout.adapt_layout`.

    Raises:
      UsageError: no such config, or an option is out of range.
    """
    if isinstance(config, str) and (config in LAYOUTS or config not in CONFIG_MAP):
        return layout_of(config, **options)
    converter = (CONFIG_MAP[config] if isinstance(config, str) else config).data_converter
    return adapt_layout(_layout_of(converter), **options)


def save_config(train_dir: Path, contents: dict[str, Any], **more: Any) -> None:
    """Write `config.json`: the result of `config_json`, more values, and package versions."""
    packages = ("magenta", "note-seq", "numpy", "tensorflow", "tf-keras", "tf-slim")
    versions = {"groovae": __version__, "python": platform.python_version()}
    versions.update({package: importlib.metadata.version(package) for package in packages})
    write_json(train_dir / CONFIG_FILE, {**contents, **more, "versions": versions})


def saved_options(saved: dict[str, Any]) -> dict[str, Any]:
    """Return meter and drum map of a `config.json` as arguments of `get_config`."""
    drum_map = saved["drum_map"] and check_drum_map(saved["drum_map"])
    return {"meter": saved["meter"], "drum_map": drum_map}


def resolve_config(
    train_dir: Path,
    name: str | None,
    hparams: str | Sequence[str],
    default: str = "groovae_4bar",
) -> tuple[str, Any]:
    """Return the name and Config that a checkpoint in `train_dir` was trained with.

    They are read from `config.json`; `name` and `hparams` may then only repeat it or change
    training hparams. If the config is not one of Magenta's or groovae's, its values there are all
    that is needed. A folder without `config.json`, such as one of Magenta's, takes `name`
    (known for Google's checkpoints) and `hparams`, and else `default`.

    Raises:
      UsageError: `name` or `hparams` contradict `config.json`; the message names the difference.
    """
    saved = read_config(train_dir)
    if saved is None:
        known = pretrained_config(train_dir)
        if known and name not in (None, known):
            raise UsageError(
                f"{train_dir}: this is Google's {known}, not {name}; leave out --config"
            )
        name = name or known or default
        return name, get_config(name, hparams)
    is_own = saved["config"] not in BUILT_IN and name in (None, saved["config"])
    name = name or saved["config"]
    config = None if is_own else get_config(name, **saved_options(saved))
    try:
        config = config_from_json(saved) if config is None else config
        for key, value in saved["hparams"].items():
            if key in config.hparams:
                config.hparams.set_hparam(key, value)
        check_hparams(config.hparams.values())
    except (TypeError, ValueError, OverflowError) as error:
        raise GroovaeError(f"{train_dir / CONFIG_FILE}: {error}") from error
    asked = _merge_hparams(config, hparams)
    check_same_model(saved, config_json(name, asked), str(train_dir))
    return name, asked


def _with_converter(config: Any, meter: str | None, drum_map: DrumMap | None) -> Any:
    """Return a config whose converter has another meter or drum map, and windows of its length.

    GrooveConverter knows neither 6/8 from 3/4 nor where its pitches are from, so that the new one
    has both as attributes.
    """
    old, arguments = config.data_converter, converter_arguments(config.data_converter)
    drum_map = drum_map or drum_map_of(config)
    if drum_map:
        arguments |= {"pitch_classes": drum_map, "inference_pitch_classes": drum_map}
    adapted = adapt_layout(layout(config), meter=meter, drum_map=drum_map)
    arguments["quarters_per_bar"] = adapted.quarters_per_bar
    if arguments["hop_size"]:
        arguments["hop_size"] = adapted.hop_steps
    converter = type(old)(**arguments)
    converter.meter, converter.drum_map = adapted.meter, drum_map
    config.hparams.set_hparam("max_seq_len", adapted.window_steps)
    return update_config(config, {"data_converter": converter})


def _merge_hparams(config: Any, hparams: str | Sequence[str]) -> Any:
    """Parse `name=value,...`, or several of these in turn, into the config's hparams, in place."""
    _add_own_hparams(config.hparams)
    for name, value in override_hparams(config.hparams.values(), hparams).items():
        config.hparams.set_hparam(name, value)
    check_hparams(config.hparams.values())
    if config.hparams.feel_loss == "absolute" and not layout(config).hits_as_controls:
        raise UsageError(
            "hparam feel_loss=absolute needs a config whose decoder is given the hits, such as "
            "groovae_2bar_humanize_hits"
        )
    return config


def _add_own_hparams(hparams: Any) -> None:
    for name, value in OWN_HPARAMS.items():
        if name not in hparams:
            hparams.add_hparam(name, value)
