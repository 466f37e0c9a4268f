"""groovae: Magenta's GrooVAE drum model on today's Python.

    import groovae
    model = groovae.load_model(".train")
    groovae.write_sequence("groove.mid", model.sample(temperature=0.5)[0])

Grooves are NoteSequences. Public names are imported on first use, so that `import groovae` is fast;
only the configurations, `convert_directory` and `train` import TensorFlow. After `import groovae`
Magenta's own modules can be imported as well.

    load_model         Load a trained model: a checkpoint, or an exported or the bundled model.
    GrooveModel        A loaded model, with a method for each task: sample, humanize, ...
    read_sequence      Read a MIDI, MusicXML or ABC file as a NoteSequence.
    write_sequence     Write the drums of a NoteSequence to a MIDI file.
    write_midi         Write drum notes to a MIDI file.
    convert_directory  Convert a folder of music files to a TFRecord of NoteSequences.
    train              Train a model, or resume a training.
    TrainOptions       What to train, on which data, and how.
    preview            Return a groove as text, one letter for each 16th.
    figure             Draw a groove as a matplotlib figure.
    draw               Write a picture of a groove to a PNG file.
    play               Play a groove on this machine.
    write_wav          Render a groove to a WAV file.
    configs            The module of the next four names, as in Magenta.
    CONFIG_MAP         The GrooVAE configurations by name.
    Config             A configuration: model, hparams, data converter.
    get_config         Return a configuration with some of its hparams replaced.
    update_config      Return a configuration with some of its fields replaced.
    GroovaeError       An operation failed: a file, a checkpoint, the machine.
    UsageError         The call is wrong: an argument, a flag, an hparam.
"""

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_PUBLIC = {
    "CONFIG_MAP": "groovae.config.config_map",
    "Config": "groovae.config.config_map",
    "GroovaeError": "groovae.errors",
    "GrooveModel": "groovae.generation.groove_model",
    "TrainOptions": "groovae.training.options",
    "UsageError": "groovae.errors",
    "configs": "groovae.configs",
    "convert_directory": "groovae.data.preprocess",
    "draw": "groovae.music.picture",
    "figure": "groovae.music.picture",
    "get_config": "groovae.config.config_map",
    "load_model": "groovae.generation.loading",
    "play": "groovae.music.sound",
    "preview": "groovae.music.picture",
    "read_sequence": "groovae.data.conversion",
    "train": "groovae.training.train",
    "update_config": "groovae.config.config_map",
    "write_midi": "groovae.music.midi_writer",
    "write_sequence": "groovae.music.midi_writer",
    "write_wav": "groovae.music.sound",
}
_NEED_TENSORFLOW = (
    *("groovae.config.config_map", "groovae.configs", "groovae.data.preprocess"),
    "groovae.training.train",
)

__all__ = ["__version__", *_PUBLIC]


class _Keras2ForMagenta:
    """Makes Magenta importable by plain code, which fails with Keras 3.

    It sees each first import of a module, finds none, and only sets a variable, when Magenta is
    imported, so that Keras of other programs that import groovae stays as it is.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name == "magenta":
            os.environ["TF_USE_LEGACY_KERAS"] = "1"


sys.meta_path.insert(0, _Keras2ForMagenta())

if TYPE_CHECKING:  # the same names, for type checkers
    from groovae import configs as configs
    from groovae.config.config_map import CONFIG_MAP as CONFIG_MAP
    from groovae.config.config_map import Config as Config
    from groovae.config.config_map import get_config as get_config
    from groovae.config.config_map import update_config as update_config
    from groovae.data.conversion import read_sequence as read_sequence
    from groovae.data.preprocess import convert_directory as convert_directory
    from groovae.errors import GroovaeError as GroovaeError
    from groovae.errors import UsageError as UsageError
    from groovae.generation.groove_model import GrooveModel as GrooveModel
    from groovae.generation.loading import load_model as load_model
    from groovae.music.midi_writer import write_midi as write_midi
    from groovae.music.midi_writer import write_sequence as write_sequence
    from groovae.music.picture import draw as draw
    from groovae.music.picture import figure as figure
    from groovae.music.picture import preview as preview
    from groovae.music.sound import play as play
    from groovae.music.sound import write_wav as write_wav
    from groovae.training.options import TrainOptions as TrainOptions
    from groovae.training.train import train as train
else:  # hidden from type checkers, or they would accept any name

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module 'groovae' has no attribute {name!r}")
        module = importlib.import_module(_PUBLIC[name])
        return module if name == "configs" else getattr(module, name)


def __dir__() -> list[str]:
    # help() looks up each of these names, so one that cannot be imported must not be among them.
    complete = all(map(importlib.util.find_spec, ("tensorflow", "magenta")))
    return sorted(name for name in __all__ if complete or _PUBLIC.get(name) not in _NEED_TENSORFLOW)
