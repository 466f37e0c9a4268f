"""groovae evaluate: how good a trained model is, on records it was not trained on.

Usage: groovae evaluate [--flags]

Runs Magenta's evaluation over all windows of --examples_path, each counted once, with z = mu, and
prints the mean of each loss, or with --json one JSON object. The KL cost is what the KL divergence
has beyond the free bits; hits, velocities and offsets are means of a step, summed over the drums.

--metrics adds what a musician would ask: hits, timing and velocity of what the model makes of the
windows, beside trivial baselines fitted on --baseline_examples_path, with intervals of 95 % (drawn
over recordings); what sets as many grooves that it draws apart from the windows; and how much of
its latent space it uses. --require='timing_mae_ms<20' gives exit code 3 where that does not hold; a
name is that of a metric or of a loss, or the way to a number in --json, such as hit_f1.low or
samples.copies.

--watch follows a training in --checkpoint that another process does: it evaluates each new
checkpoint, adds it to eval/, and keeps the best one in best/, until the training's last step or
--early_stop_patience. The training itself stops early only if it has that flag too.

Examples:
  groovae evaluate
  groovae evaluate --examples_path=data_dir/music-test.tfrecord --checkpoint=.train/best --json
  groovae evaluate --metrics --examples_path=data_dir/music-test.tfrecord --checkpoint=.train/best
  groovae evaluate --metrics --require='hit_f1>0.7' --require='timing_mae_ms<20'
  groovae evaluate --watch --early_stop_patience=20
  groovae evaluate --checkpoint=data_dir/checkpoints/groovae_4bar.tar --config=groovae_4bar"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    check_one_set,
    define_checkpoint,
    define_examples,
    define_layout,
    define_split,
    need_arguments,
)
from groovae.cli.output import log, print_json
from groovae.cli.study import appraised, define_appraisal
from groovae.errors import UsageError
from groovae.evaluation.conditions import Condition, parse
from groovae.metrics.scores import METRICS

if TYPE_CHECKING:
    from groovae.data.source import DataSource
    from groovae.training.losses import Evaluation

NOT_GOOD_ENOUGH = 3
COUNTS = ("step", "windows", "recordings", "hits")
OF_METRICS = (
    *("baseline_examples_path", "num_samples", "temperature", "seed"),
    *("as_hits", "markdown"),
)
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
    define_split(values)
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
    flags.DEFINE_bool("metrics", False, "Musical metrics beside baselines.", flag_values=values)
    define_appraisal(values)
    flags.DEFINE_multi_string(
        "require",
        [],
        "A condition such as 'timing_mae_ms<20'; where one does not hold, the exit code is 3.",
        flag_values=values,
    )
    flags.DEFINE_bool("markdown", False, "Print the metrics in Markdown.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON object.", flag_values=values)


def run(values: Any, positional: list[str]) -> int:
    need_arguments(positional)
    check_one_set(values)
    _check_flags(values)
    conditions = [parse(text) for text in values.require]
    _check_names(conditions, values.metrics)
    from groovae.data.source import DataSource
    from groovae.training.losses import evaluate

    data = DataSource(**{name: values[name].value for name in DataSource.__dataclass_fields__})
    if values.watch:
        _watch(values, data)
        return 0
    if values.metrics:
        results = appraised(values, data).results
        text = _all_tables(results, values.markdown)
    else:
        evaluation = evaluate(values.checkpoint, data, values.config, values.hparams, log)
        results, text = evaluation.as_dict(), _table(evaluation)
    if values.json:
        print_json(results)
    else:
        print(text)
    unmet = [line for condition in conditions if (line := condition.check(results))]
    for line in unmet:
        log(f"groovae evaluate: required: {line}")
    return NOT_GOOD_ENOUGH if unmet else 0


def _check_names(conditions: Sequence[Condition], with_metrics: bool) -> None:
    """Finds a typo before the evaluation and not after it; the way to a number shows later."""
    known = {*LABELS, *COUNTS, *(METRICS if with_metrics else ())}
    for condition in conditions:
        if condition.name in METRICS and not with_metrics:
            raise UsageError(f"--require={condition}: this is a metric; add --metrics")
        if "." not in condition.name:
            condition.check_name(known)


def _check_flags(values: Any) -> None:
    if values.early_stop_patience and not values.watch:
        raise UsageError("--early_stop_patience belongs to --watch")
    if values.watch and (values.metrics or values.require):
        raise UsageError("--metrics and --require look at one checkpoint; leave out --watch")
    if values.markdown and values.json:
        raise UsageError("--markdown and --json: give one of them")
    for name in OF_METRICS:
        if values[name].present and not values.metrics:
            raise UsageError(f"--{name} belongs to --metrics")


def _watch(values: Any, data: "DataSource") -> None:
    from groovae.config import config_map
    from groovae.training.losses import Evaluator
    from groovae.training.validation import watch

    train_dir = Path(values.checkpoint).expanduser()
    data.examples()  # or a wrong name would be found when the first checkpoint is there

    def evaluator() -> Evaluator:
        name, config = config_map.resolve_config(train_dir, values.config, values.hparams)
        return Evaluator(name, config, data.load(config, train_dir, log))

    def on_evaluation(evaluation: "Evaluation") -> None:
        log(str(evaluation))

    best = watch(train_dir, evaluator, values.early_stop_patience, log, on_evaluation)
    if best:
        log(f"the best is step {best[0]:,}, loss {best[1]:.2f}, kept in {train_dir / 'best'}")


def _all_tables(results: dict[str, Any], markdown: bool) -> str:
    from groovae.evaluation.tables import as_markdown, as_text, tables

    losses, latent = results["losses"], results["latent"]
    active = "?" if latent["active_dimensions"] is None else latent["active_dimensions"]
    hits = "the likeliest hits" if "hit_f1" in results["scores"] else "hits as they are given"
    head = [
        f"{results['checkpoint']}, step {results['step']:,}, a {results['config']}",
        f"{results['windows']:,} windows of {results['recordings']:,} recordings, "
        f"{results['hits']:,} hits, in {results['examples']}",
        f"z = mu, {hits}, velocity and timing "
        + ("as those of hits" if results["as_hits"] else "as the original decodes them"),
        f"baselines fitted on {results['baseline_examples']}; intervals of 95 %; "
        "* is worse than the model in 97.5 % of the draws",
        f"loss {losses['loss']:.2f}, reconstruction {losses['losses/r_loss']:.2f}; "
        f"KL {latent['kl_bits']:.1f} bits, {latent['free_bits']:g} of them free; "
        f"{active} of {latent['dimensions']} dimensions of z active",
    ]
    if latent["warning"]:
        head.append(f"WARNING: {latent['warning']}")
    parts = map(as_markdown if markdown else as_text, tables(results))
    return "\n\n".join(["\n".join(head), *parts])


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
