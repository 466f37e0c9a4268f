"""Each workaround of an upstream bug: what it does, and whether upstream still needs it.

A test named `..._still_...` fails when upstream is fixed. Then its workaround can go.
"""

import inspect
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import TINY_HPARAMS, assert_one_line

from groovae import configs, upstream
from groovae.upstream import converter_script, lstm_models, magenta_configs, tf

TUNEBOOK = "X:1\nT:Test\nM:4/4\nL:1/4\nQ:120\nK:C\nCDEF|GABc|\n"


def _python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_imports_are_silent():
    result = _python("import groovae.upstream")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_upstream_still_talks_and_debug_shows_it():
    result = _python("import groovae.upstream", GROOVAE_DEBUG="1")
    assert result.returncode == 0
    assert "deprecated" in result.stderr


def test_a_foreign_keras_setting_does_no_harm():
    result = _python(
        "from groovae.configs import get_config; from groovae.upstream import tf\n"
        "config = get_config(); config.model.build(config.hparams, 27, is_training=True)",
        TF_USE_LEGACY_KERAS="0",
    )
    assert result.returncode == 0, result.stderr


def test_keras_3_still_cannot_build_the_model():
    result = _python(
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'\n"
        "import tensorflow.compat.v1 as tf; tf.disable_v2_behavior()\n"
        "from magenta.models.music_vae.configs import CONFIG_MAP\n"
        "config = CONFIG_MAP['groovae_4bar']; config.model.build(config.hparams, 27, True)"
    )
    assert result.returncode != 0


def test_unbatch_of_a_depth_0_tensor_still_crashes():
    result = _python(
        "import numpy as np, tensorflow as tf\n"
        "list(tf.data.Dataset.from_tensors(np.zeros((3, 64, 0), np.float32)).unbatch())"
    )
    assert result.returncode < 0, "unbatch works again: groovae.upstream.unbatch can go"


def test_our_unbatch_does_not():
    with tf.Graph().as_default(), tf.Session() as session:
        dataset = upstream.unbatch(tf.data.Dataset.from_tensors(tf.zeros((3, 64, 0))))
        (element,) = tf.data.make_one_shot_iterator(dataset).get_next()
        assert [session.run(element).shape for _ in range(3)] == [(64, 0)] * 3
        with pytest.raises(tf.errors.OutOfRangeError):
            session.run(element)


def test_the_abc_parser_still_cannot_read_bytes():
    with pytest.raises(TypeError):
        upstream.parse_abc_text(TUNEBOOK.encode())


def test_magentas_abc_converter_works_with_ours():
    tunes, broken = converter_script.abc_parser.parse_abc_tunebook(TUNEBOOK.encode())
    assert (len(tunes), broken) == (1, [])


def test_rnn_loops_still_run_32_steps_at_once():
    for loop, ours, default in (
        (upstream.decoder_loop, lstm_models.contrib_seq2seq.dynamic_decode, 32),
        (upstream.encoder_loop, lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn, None),
    ):
        assert inspect.signature(loop).parameters["parallel_iterations"].default == default
        assert inspect.signature(ours).parameters["parallel_iterations"].default == 1


def test_note_seq_still_takes_ctrl_c_for_a_broken_file(monkeypatch: pytest.MonkeyPatch):
    midi_io = converter_script.midi_io
    monkeypatch.setattr(midi_io, "io", SimpleNamespace(BytesIO=_press_ctrl_c))
    with pytest.raises(midi_io.MIDIConversionError):
        upstream.midi_to_sequence(b"")
    with pytest.raises(KeyboardInterrupt):
        midi_io.midi_to_sequence_proto(b"")


def _press_ctrl_c(_: bytes) -> None:
    raise KeyboardInterrupt


def test_tensorflow_still_reads_no_records_in_what_is_no_tfrecord(tmp_path: Path):
    (tmp_path / "short").write_bytes(b"short")
    assert list(tf.python_io.tf_record_iterator(str(tmp_path / "short"))) == []
    with pytest.raises(tf.errors.DataLossError):
        list(upstream.read_records(str(tmp_path / "short")))


def test_trained_model_still_makes_its_graph_without_a_seed(trained: Path):
    config = configs.get_config("groovae_4bar", TINY_HPARAMS)
    assert _graph_of(config, trained).seed is None
    seeded = upstream.SeededMusicVAE(config.model, 7)
    assert _graph_of(configs.update_config(config, {"model": seeded}), trained).seed == 7


def _graph_of(config: Any, checkpoint: Path) -> Any:
    return upstream.TrainedModel(config, 1, str(checkpoint))._sess.graph


def test_without_magenta_the_program_says_the_line_to_run():
    # With None in its place the import system says that there is no such module.
    code = (
        "import sys; sys.modules['magenta'] = None; from groovae.cli import main; sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "sample"], capture_output=True, text=True, check=False
    )
    assert_one_line(result, 1, "pip install --no-deps magenta==2.1.4")
    assert len(result.stderr.splitlines()) == 1


def test_magentas_own_configs_are_untouched():
    assert magenta_configs.CONFIG_MAP["groovae_4bar"].train_examples_path is None
