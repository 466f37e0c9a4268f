"""Which config each task needs: a model can only do the task that it was trained for."""

import shlex

from groovae.config.layout import Layout
from groovae.config.pretrained import CHECKPOINTS
from groovae.errors import UsageError

WHOLE_GROOVES = "groovae_4bar"

# The configs of each task, of which the first is the default.
CONFIGS = {
    "humanize": ["groovae_2bar_humanize", "groovae_2bar_humanize_hits"],
    "tap2drum": [
        "groovae_2bar_tap_fixed_velocity",
        "groovae_2bar_tap_fixed_velocity_note_dropout",
        "groovae_2bar_tap_context",
    ],
    "add_hihat": ["groovae_2bar_add_closed_hh", "groovae_2bar_add_closed_hh_context"],
    "transfer": ["groovae_2bar_hits_control_tfds", "groovae_2bar_transfer_hits"],
}
OF_WHOLE_GROOVES = ("infill", "continue", "fill")  # which encode a groove and sample hits
PRESETS = {WHOLE_GROOVES: "cpu"} | {configs[0]: task for task, configs in CONFIGS.items()}


def config_for(task: str | None) -> str:
    """Return the default config of a task."""
    return CONFIGS[task][0] if task in CONFIGS else WHOLE_GROOVES


def task_of(layout: Layout) -> str | None:
    """Return the task of a model, or None if it encodes and decodes whole grooves.

    What is hidden from the encoder defines the task, also of the configs of users.

    >>> from groovae.config.layout import LAYOUTS
    >>> task_of(LAYOUTS["groovae_2bar_humanize"])
    'humanize'
    """
    if layout.tapify:
        return "tap2drum"
    if layout.add_instruments:
        return "add_hihat"
    if layout.humanize:
        return "humanize"
    return "transfer" if layout.has_controls else None


def can_sample(layout: Layout) -> bool:
    """Return whether a model can sample; one with controls needs a groove."""
    return not layout.has_controls


def check_task(task: str, config_name: str, layout: Layout, checkpoint: str) -> None:
    """Check that a model can do a task.

    Args:
      task: `sample`, `reconstruct`, `interpolate`, `vary`, or one of `OF_WHOLE_GROOVES` or
        `CONFIGS`.
      config_name: The model's config.
      layout: The model's layout.
      checkpoint: Its name in messages.

    Raises:
      UsageError: it cannot; the message names its own task, and how to get a fitting model.
    """
    own_task = task_of(layout)
    if task in CONFIGS:
        fits = task == own_task
    elif task == "sample":
        fits = can_sample(layout)
    elif task in OF_WHOLE_GROOVES:
        fits = own_task is None
    else:
        fits = own_task in (None, "transfer")  # their encoders get whole grooves
    if fits:
        return
    raise UsageError(
        f"`{task}` takes a model of {config_for(task)}, and {checkpoint} holds {config_name}"
        + (f", which is for `{own_task}`" if own_task else "")
        + f"; {how_to_get(task)}"
    )


def play_command(layout: Layout, checkpoint: str | None = None) -> str:
    """Return the command that plays a model, for messages.

    >>> from groovae.config.layout import LAYOUTS
    >>> play_command(LAYOUTS["groovae_2bar_add_closed_hh"], "runs/mine")
    'groovae add_hihat IN.mid --checkpoint=runs/mine'
    """
    task = task_of(layout) or "sample"
    inputs = {"sample": "", "transfer": " --groove=A.mid --beat=B.mid"}.get(task, " IN.mid")
    model = f" --checkpoint={shlex.quote(checkpoint)}" if checkpoint else ""
    return f"groovae {task}{inputs}{model}"


def how_to_get(task: str) -> str:
    """Return the commands that train or download a model for a task, for messages."""
    config = config_for(task)
    train = f"train one with `groovae train --flagfile=configs/{PRESETS[config]}.flags`, "
    google = next((name for name, one in CHECKPOINTS.items() if one.config == config), None)
    fetch = f"or fetch Google's with `groovae download --checkpoint={google}`, " if google else ""
    return f"{train}{fetch}and name it by --checkpoint"
