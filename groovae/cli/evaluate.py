"""groovae evaluate: the losses of a trained model on records it was not trained on.

Usage: groovae evaluate [--flags]

Runs Magenta's evaluation over all windows of --examples_path, each counted once, with z = mu, and
prints the mean of each loss, or with --json one JSON object. The KL cost is what the KL divergence
has beyond the free bits; hits, velocities and offsets are means of a step, summed over the drums.

--watch follows a training in --checkpoint that another process does: it evaluates each new
checkpoint, adds it to eval/, and keeps the best one in best/, until the training's last step or
--early_stop_patience. The training itself stops early only if it has that flag too.

Examples:
  groovae evaluate
  groovae evaluate --examples_path=data_dir/music-test.tfrecord --checkpoint=.train/best --json
  groovae evaluate --watch --early_stop_patience=20
  groovae evaluate --checkpoint=data_dir/checkpoints/groovae_4bar.tar --config=groovae_4bar"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli import (
    check_one_set,
    define_checkpoint,
    define_examples,
    define_layout,
    need_arguments,
    print_json,
    say,
)
from groovae.errors import UsageError

if TYPE_CHECKING:
    from groovae.evaluate import Data, Evaluation

LABELS = {
    "loss": "total loss",
    "losses/r_loss": "reconstruction",
    "losses/kl_loss": "KL cost, nats",
    "losses/kl_bits": "KL, bits",
    "losses/kl_beta": "weight of the KL cost",
    "metrics/hits_loss": "hits, of a step",
    "metrics/velocities_loss": "velocities, of a step",
    "metrics/offsets_loss": "offsets, of a step",
}


def define_flags(values: flags.FlagValues) -> None:
    define_checkpoint(values)
    define_examples(values, "data_dir/music-validation.tfrecord", "evaluate")
    flags.DEFINE_enum(
        "split",
        "validation",
        ["train", "validation", "test"],
        "Which split of --tfds_name.",
        flag_values=values,
    )
    define_layout(values)
    flags.DEFINE_bool(
        "watch",
        False,
        "Evaluate each new checkpoint of a training that goes on.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "early_stop_patience",
        0,
        "With --watch: end after so many evaluations without a lower loss; 0: at the last step.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_bool("json", False, "Print one JSON object.", flag_values=values)


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    check_one_set(values)
    if values.early_stop_patience and not values.watch:
        raise UsageError("--early_stop_patience belongs to --watch")
    from groovae.evaluate import Data, evaluate

    data = Data(**{name: values[name].value for name in Data.__dataclass_fields__})
    if values.watch:
        _watch(values, data)
        return
    evaluation = evaluate(values.checkpoint, data, values.config, values.hparams, say)
    if values.json:
        print_json(evaluation.as_dict())
    else:
        print(_table(evaluation))


def _watch(values: Any, data: "Data") -> None:
    from groovae import configs
    from groovae.evaluate import Evaluator
    from groovae.validation import watch

    train_dir = Path(values.checkpoint).expanduser()
    data.examples()  # or a wrong name would be found when the first checkpoint is there

    def evaluator() -> Evaluator:
        name, config = configs.config_of(train_dir, values.config, values.hparams)
        return Evaluator(name, config, data.load(config, train_dir, say))

    def on_evaluation(evaluation: "Evaluation") -> None:
        say(str(evaluation))

    best = watch(train_dir, evaluator, values.early_stop_patience, say, on_evaluation)
    if best:
        say(f"the best is step {best[0]:,}, loss {best[1]:.2f}, kept in {train_dir / 'best'}")


def _table(evaluation: "Evaluation") -> str:
    width = max(map(len, LABELS.values()))
    rows = [
        f"  {LABELS[name]:<{width}}  {value:10.4f}  {name}"
        for name, value in evaluation.losses.items()
    ]
    return "\n".join(
        [
            f"{evaluation.checkpoint}, step {evaluation.step:,}, a {evaluation.config}: "
            f"means over {evaluation.windows:,} windows, z = {evaluation.z}",
            *rows,
        ]
    )
