"""Tests of groovae.config.config_map: configs, hparams and `config.json`."""

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL_HPARAMS

from groovae.config import config_map
from groovae.errors import GroovaeError, UsageError
from groovae.upstream import magenta_configs


def test_groovae_4bar_equals_magentas():
    ours, theirs = (
        config_map.config_json("groovae_4bar", configs["groovae_4bar"])
        for configs in (config_map.CONFIG_MAP, magenta_configs.CONFIG_MAP)
    )
    assert ours == theirs


def test_groovae_4bar_has_published_hparams():
    config = config_map.get_config("groovae_4bar")
    assert type(config.model.encoder).__name__ == "BidirectionalLstmEncoder"
    assert type(config.model.decoder).__name__ == "GrooveLstmDecoder"
    hparams = config.hparams
    assert (hparams.batch_size, hparams.max_seq_len, hparams.z_size) == (512, 64, 256)
    assert (hparams.enc_rnn_size, hparams.dec_rnn_size) == ([512], [256, 256])
    assert (hparams.max_beta, hparams.free_bits, hparams.dropout_keep_prob) == (0.2, 48, 0.3)
    assert config.train_examples_path == "data_dir/music.tfrecord"


def test_config_map_has_every_groovae_config_of_magenta():
    theirs = {name for name in magenta_configs.CONFIG_MAP if name.startswith("groovae_")}
    assert len(theirs) == 6
    assert theirs <= set(config_map.CONFIG_MAP)


def test_get_config_does_not_change_config_map():
    config = config_map.get_config("groovae_4bar", "batch_size=3,enc_rnn_size=[7]")
    assert (config.hparams.batch_size, config.hparams.enc_rnn_size) == (3, [7])
    assert config_map.CONFIG_MAP["groovae_4bar"].hparams.batch_size == 512
    assert config_map.get_config("groovae_4bar").hparams.enc_rnn_size == [512]


@pytest.mark.parametrize(
    ("hparams", "words"),
    [
        ("batchsize=3", ["'batchsize'", "Did you mean batch_size?", "z_size"]),
        ("z_size=4,free_bit=1", ["'free_bit'", "free_bits"]),
        ("batch_size=many", ["batch_size", "'many'", "batch_size=512"]),
        ("z_size=1.5", ["z_size", "'1.5'"]),
        ("enc_rnn_size=64", ["enc_rnn_size", "[512]"]),
        ("dec_rnn_size=[1,a]", ["dec_rnn_size"]),
        ("batch_size", ["batch_size"]),
        ("batch_size=3,batch_size=4", ["batch_size"]),
        ("batch_size=0", ["batch_size", "from 1", "got 0"]),
        ("dec_rnn_size=[8,0]", ["dec_rnn_size", "from 1", "got [8, 0]"]),
        ("dropout_keep_prob=0", ["dropout_keep_prob", "got 0"]),
        ("dropout_keep_prob=1.5", ["dropout_keep_prob", "got 1.5"]),
        ("learning_rate=nan", ["learning_rate", "nan"]),
        ("max_beta=inf", ["max_beta", "inf"]),
        ("clip_mode=none", ["clip_mode", "global_norm", "value", "'none'"]),
        ("feel_loss=cubic", ["feel_loss", "squared", "absolute", "'cubic'"]),
        ("feel_loss=absolute", ["feel_loss", "groovae_2bar_humanize_hits"]),
    ],
)
def test_invalid_hparams_raise(hparams: str, words: list[str]):
    with pytest.raises(UsageError) as error:
        config_map.get_config("groovae_4bar", hparams)
    for word in words:
        assert word in str(error.value)


def test_later_hparams_win_and_spaces_are_ignored():
    config = config_map.get_config("groovae_4bar", [" z_size = 4, batch_size=8", "z_size=5"])
    assert (config.hparams.z_size, config.hparams.batch_size) == (5, 8)


def test_unknown_config_lists_known_ones():
    with pytest.raises(UsageError, match=r"'groovae_8bar'.*groovae_2bar_humanize.*groovae_4bar"):
        config_map.get_config("groovae_8bar")


@pytest.mark.parametrize("name", sorted(config_map.CONFIG_MAP))
def test_config_json_round_trip(name: str, tmp_path: Path):
    config = config_map.get_config(name, SMALL_HPARAMS)
    contents = config_map.config_json(name, config)
    config_map.save_config(tmp_path, contents, seed=5)
    saved = config_map.read_config(tmp_path)
    assert saved is not None
    assert saved["seed"] == 5
    assert saved["versions"]["magenta"] == "2.1.4"
    found_name, found = config_map.resolve_config(tmp_path, None, "")
    assert found_name == name
    assert config_map.config_json(name, found) == contents


def test_training_hparams_may_differ_from_config_json(tmp_path: Path):
    _save(tmp_path, "z_size=8,batch_size=16")
    name, config = config_map.resolve_config(tmp_path, "groovae_4bar", "z_size=8,batch_size=99")
    assert (name, config.hparams.z_size, config.hparams.batch_size) == ("groovae_4bar", 8, 99)


@pytest.mark.parametrize(
    ("name", "hparams", "words"),
    [
        ("groovae_4bar", "z_size=9", ["z_size is 8, not 9"]),
        ("groovae_4bar", "enc_rnn_size=[4]", ["enc_rnn_size is [512], not [4]"]),
        ("groovae_2bar_humanize", "", ["groovae_4bar", "groovae_2bar_humanize", "humanize"]),
    ],
)
def test_other_model_than_in_config_json_raises(
    tmp_path: Path, name: str, hparams: str, words: list[str]
):
    _save(tmp_path, "z_size=8")
    with pytest.raises(UsageError) as error:
        config_map.resolve_config(tmp_path, name, hparams)
    for word in words:
        assert word in str(error.value)


def test_flags_apply_without_config_json(tmp_path: Path):
    name, config = config_map.resolve_config(tmp_path, None, "z_size=9")
    assert (name, config.hparams.z_size) == ("groovae_4bar", 9)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"config": "groovae_4bar"}', "\x00"])
def test_damaged_config_json_raises(tmp_path: Path, text: str):
    (tmp_path / config_map.CONFIG_FILE).write_text(text)
    with pytest.raises(GroovaeError, match=r"config\.json"):
        config_map.resolve_config(tmp_path, None, "")


@pytest.mark.parametrize("change", [{"seed": -5}, {"hparams": {"z_size": 10**30}}])
def test_invalid_values_in_config_json_raise(tmp_path: Path, change: dict[str, Any]):
    _save(tmp_path, "")
    path = tmp_path / config_map.CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(GroovaeError, match=r"config\.json: "):
        config_map.resolve_config(tmp_path, None, "")


def _save(folder: Path, hparams: str) -> None:
    config = config_map.get_config("groovae_4bar", hparams)
    config_map.save_config(folder, config_map.config_json("groovae_4bar", config))
