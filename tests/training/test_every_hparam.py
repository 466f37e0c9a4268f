"""Each hparam is tried: training, validation, sampling and export of a tiny model."""

import re
from pathlib import Path

import numpy as np
import pytest
from make_windows import random_windows

from groovae import load_model
from groovae.config.description import HPARAMS
from groovae.config.tasks import can_sample
from groovae.data.source import DataSource
from groovae.errors import GroovaeError
from groovae.export.onnx import export
from groovae.training.losses import evaluate
from groovae.training.train import TrainOptions, train

TINY = "batch_size=8,z_size=4"
# Each case has other values than its config; on two bars, which are faster than four.
CASES = {
    "groovae_2bar_tap_fixed_velocity": "sampling_schedule=constant,sampling_rate=0.5,"
    "clip_mode=value,grad_clip=0.5,conditional=false,use_cudnn=true,beta_rate=0.9,max_beta=0.5,"
    "free_bits=3,max_seq_len=32,enc_rnn_size=[6],dec_rnn_size=[6]",
    "groovae_2bar_humanize": "sampling_schedule=exponential,sampling_rate=0.9,"
    "residual_encoder=true,residual_decoder=true,learning_rate=0.01,decay_rate=0.9,"
    "min_learning_rate=0.001,enc_rnn_size=[6],dec_rnn_size=[6,6]",
    "groovae_2bar_hits_control_tfds": "sampling_schedule=inverse_sigmoid,sampling_rate=2,"
    "control_preprocessing_rnn_size=[5],grad_norm_clip_to_zero=5,dropout_keep_prob=0.5,"
    "feel_loss=absolute,enc_rnn_size=[6],dec_rnn_size=[6]",
}


@pytest.mark.parametrize("config", CASES)
def test_training_validation_sampling_and_export(
    config: str, few_patterns: Path, equal_batches: None, tmp_path: Path
) -> None:
    options = TrainOptions(
        str(tmp_path / "train"),
        str(few_patterns),
        config=config,
        eval_examples_path=str(few_patterns),
        hparams=[TINY, CASES[config]],
        num_steps=2,
        seed=1,
    )
    result = train(options)
    assert result.step == 2
    assert result.best is not None
    assert np.isfinite(result.best[1])
    if config == "groovae_2bar_hits_control_tfds":  # whose evaluation draws random numbers
        again = evaluate(str(tmp_path / "train" / "best"), DataSource(str(few_patterns)))
        assert again.losses["loss"] == pytest.approx(result.best[1])
    model = load_model(tmp_path / "train", seed=1, batch_size=4)
    windows = random_windows(2, 1, 0.1).astype(np.float32)
    played = model.predict_windows(windows)[0]
    assert np.isfinite(played).all()
    if can_sample(model.layout):
        assert model.sample_tensors(2, 2, 1.0).shape == (2, 32, 27)
    if "residual" in CASES[config]:
        with pytest.raises(GroovaeError, match="residual"):
            export(tmp_path / "train", tmp_path / "onnx")
        return
    export(tmp_path / "train", tmp_path / "onnx")  # which compares it with the checkpoint
    assert load_model(tmp_path / "onnx").config_name == config


def test_all_hparams_are_in_a_case() -> None:
    named = re.findall(r"(\w+)=", ",".join([TINY, *CASES.values()]))
    assert set(named) == set(HPARAMS)
