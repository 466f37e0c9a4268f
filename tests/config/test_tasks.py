"""Tests of groovae.config.tasks: which configs can do which tasks."""

import importlib
import re
import shlex

import pytest
from absl import flags
from conftest import ROOT

from groovae.cli.main import COMMANDS
from groovae.config import config_map
from groovae.config.layout import LAYOUTS
from groovae.config.pretrained import CHECKPOINTS
from groovae.config.tasks import CONFIGS, PRESETS, check_task, config_for, task_of
from groovae.errors import UsageError

WHOLE_GROOVE_TASKS = {"reconstruct", "interpolate", "vary"}
TASKS_OF = {
    "groovae_4bar": WHOLE_GROOVE_TASKS | {"sample"},
    "groovae_2bar": WHOLE_GROOVE_TASKS | {"sample"},
    "groovae_2bar_humanize": {"humanize", "sample"},
    "groovae_2bar_humanize_hits": {"humanize"},
    "groovae_2bar_tap_fixed_velocity": {"tap2drum", "sample"},
    "groovae_2bar_tap_fixed_velocity_note_dropout": {"tap2drum", "sample"},
    "groovae_2bar_tap_context": {"tap2drum"},
    "groovae_2bar_add_closed_hh": {"add_hihat", "sample"},
    "groovae_2bar_add_closed_hh_context": {"add_hihat"},
    "groovae_2bar_hits_control_tfds": WHOLE_GROOVE_TASKS | {"transfer"},
    "groovae_2bar_transfer_hits": WHOLE_GROOVE_TASKS | {"transfer"},
}
TASKS = sorted(set().union(*TASKS_OF.values()))
WRONG = [(task, config) for config in TASKS_OF for task in TASKS if task not in TASKS_OF[config]]


def test_every_config_has_a_task_and_every_task_a_command() -> None:
    assert set(TASKS_OF) == set(config_map.CONFIG_MAP)
    assert set(TASKS) <= set(COMMANDS)


@pytest.mark.parametrize("config", TASKS_OF)
def test_model_fits_its_tasks(config: str) -> None:
    for task in TASKS_OF[config]:
        check_task(task, config, LAYOUTS[config], ".train")


@pytest.mark.parametrize(("task", "config"), WRONG)
def test_wrong_model_raises_with_commands_that_get_a_fitting_one(task: str, config: str) -> None:
    with pytest.raises(UsageError) as error:
        check_task(task, config, LAYOUTS[config], "my/train dir")
    message = str(error.value)
    assert message.startswith(f"`{task}` takes a model of {config_for(task)}")
    assert f"my/train dir holds {config}" in message
    assert error.value.exit_code == 2
    train, download = (_parsed(command) for command in re.findall("`(groovae .*?)`", message))
    assert train["config"].value == config_for(task)
    assert CHECKPOINTS[download["checkpoint"].value].config == config_for(task)
    default = train["config"].value
    check_task(task, default, LAYOUTS[default], "checkpoint")


def _parsed(command: str) -> flags.FlagValues:
    """Parse a command line into its flags."""
    groovae, name, *arguments = shlex.split(command)
    assert groovae == "groovae"
    values = flags.FlagValues()
    importlib.import_module(f"groovae.cli.commands.{name}").define_flags(values)
    assert values(["", *(arg.replace("=configs/", f"={ROOT}/configs/") for arg in arguments)])
    return values


def test_message_names_the_task_of_the_model() -> None:
    for name, words in (
        ("groovae_2bar_humanize", "which is for `humanize`"),
        ("groovae_4bar", "holds groovae_4bar; train one"),
    ):
        with pytest.raises(UsageError, match=words):
            check_task("tap2drum", name, LAYOUTS[name], ".train")


def test_default_config_of_task_has_preset_and_checkpoint() -> None:
    for task in TASKS:
        config = config_for(task)
        assert (ROOT / "configs" / f"{PRESETS[config]}.flags").is_file()
        assert config in {one.config for one in CHECKPOINTS.values()}


def test_task_of_inverts_configs() -> None:
    assert task_of(LAYOUTS["groovae_4bar"]) is None
    for task, names in CONFIGS.items():
        assert [task_of(LAYOUTS[name]) for name in names] == [task] * len(names)
