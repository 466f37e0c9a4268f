"""groovae evaluate: evaluate a trained model on records it was not trained on.

Usage: groovae evaluate [--flags]

Runs Magenta's evaluation on all windows of --examples_path, each counted once, with z = mu, and
prints the mean of each loss, or with --json one JSON object. The KL cost is the KL divergence above
the free bits; hits, velocities and offsets are means over the steps, summed over the drums. Only
checkpoints have losses: an ONNX export or a bundled model is evaluated by --metrics alone.

--metrics adds musical metrics: hits, timing and velocity of the reconstructed windows, beside
trivial baselines fitted on --baseline_examples_path, with 95 % confidence intervals (bootstrap over
recordings); how grooves sampled as `groovae sample` does, see --prior, differ from the windows; and
how many latent dimensions are active.
--require='timing_mae_ms<20' exits with code 3 if the condition does not hold; its name is a metric,
a loss, or a path in the --json output such as hit_f1.low or samples.copies.

--watch follows a training in --checkpoint that another process runs: it evaluates each new
checkpoint, writes the losses to eval/ and keeps the best checkpoint in best/, until the last step
or --early_stop_patience. To stop the training early as well, give it that flag too.

Examples:
  groovae evaluate
  groovae evaluate --examples_path=data_dir/music-test.tfrecord --checkpoint=.train/best --json
  groovae evaluate --metrics --examples_path=data_dir/music-test.tfrecord --checkpoint=.train/best
  groovae evaluate --metrics --checkpoint=groovae_4bar --examples_path=data_dir/music-test.tfrecord
  groovae evaluate --metrics --require='hit_f1>0.7' --require='timing_mae_ms<20'
  groovae evaluate --watch --early_stop_patience=20
  groovae evaluate --checkpoint=data_dir/checkpoints/groovae_4bar.tar --config=groovae_4bar"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from groovae.cli.flags import (
    check_arguments,
    check_one_dataset,
    define_examples,
    define_layout,
    define_split,
    from_flags,
)
from groovae.cli.output import log, print_json, print_text
from groovae.cli.study import define_study, evaluate_from_flags, find_model
from groovae.errors import UsageError
from groovae.evaluation.conditions import Condition, parse
from groovae.metrics.scores import METRICS

if TYPE_CHECKING:
    from groovae.data.source import DataSource
    from groovae.training.losses import Evaluation

EXIT_UNMET = 3
NO_LOSSES = "an exported model has no losses, which need the graph of its training"
COUNTS = ("step", "windows", "recordings", "hits")
FLAGS_OF_METRICS = (
    *("baseline_examples_path", "num_samples", "temperature", "seed"),
    *("prior", "expectation", "feel", "markdown"),
)
LABELS = {
    "loss": "total loss",
    "losses/r_loss": "reconstruction",
    "losses/kl_loss": "KL cost, nats",
    "losses/kl_bits": "KL, bits",
    "losses/kl_beta": "weight of the KL cost",
    "metrics/hits_loss": "hits, per step",
    "metrics/velocities_loss": "velocities, per step",
    "metrics/offsets_loss": "offsets, per step",
}


def define_flags(values: flags.FlagValues) -> None:
    define_examples(values, "data_dir/music-validation.tfrecord", "evaluate")
    define_split(values)
    define_layout(values)
    flags.DEFINE_bool("watch", False, "Evaluate each new checkpoint of a running training.", values)
    flags.DEFINE_integer(
        "early_stop_patience",
        0,
        "With --watch: stop after N evaluations without a lower loss; 0: at the last step.",
        0,
        flag_values=values,
    )
    flags.DEFINE_bool("metrics", False, "Add musical metrics, beside baselines.", values)
    define_study(values)
    flags.DEFINE_multi_string(
        "require",
        [],
        "A condition such as 'timing_mae_ms<20'; if it does not hold, the exit code is 3.",
        values,
    )
    flags.DEFINE_bool("markdown", False, "Print the metrics as Markdown.", values)
    flags.DEFINE_bool("json", False, "Print one JSON object.", values)


def run(values: Any, positional: list[str]) -> int:
    check_arguments(positional)
    check_one_dataset(values)
    conditions = [parse(text) for text in values.require]
    _check_flags(values)
    _check_names(conditions, values.metrics)
    from groovae.data.source import DataSource
    from groovae.generation.bundled import TRAIN_DIR, find_bundled

    data = from_flags(DataSource, values)
    if values.watch:
        _watch(values, data)
        return 0
    if values.metrics:
        results = evaluate_from_flags(values, find_model(values), data).results
        text = _format_metrics(results, values.markdown)
    else:
        checkpoint = values.checkpoint or TRAIN_DIR  # since no losses are known of bundled models
        evaluation = _evaluate_losses(values, find_bundled(checkpoint) or checkpoint, data)
        results, text = evaluation.as_dict(), _format_losses(evaluation)
    if values.json:
        print_json(results)
    else:
        print_text(text)
    unmet = [line for condition in conditions if (line := condition.check(results))]
    for line in unmet:
        log(f"groovae evaluate: required: {line}")
    return EXIT_UNMET if unmet else 0


def _evaluate_losses(values: Any, checkpoint: str, data: "DataSource") -> "Evaluation":
    from groovae.model.formats import is_onnx_export

    if is_onnx_export(checkpoint):
        raise UsageError(
            f"{checkpoint}: {NO_LOSSES}; evaluate it with --metrics, or make a checkpoint of it "
            "with `groovae import`"
        )
    from groovae.training.losses import evaluate

    return evaluate(checkpoint, data, values.config, values.hparams, log)


def _check_names(conditions: Sequence[Condition], with_metrics: bool) -> None:
    """Find a misspelt name before the evaluation; a path is checked against the results."""
    known = {*LABELS, *COUNTS, *(METRICS if with_metrics else ())}
    for condition in conditions:
        if condition.name in METRICS and not with_metrics:
            raise UsageError(f"--require={condition} needs --metrics")
        if "." not in condition.name:
            condition.check_name(known)


def _check_flags(values: Any) -> None:
    if values.early_stop_patience and not values.watch:
        raise UsageError("--early_stop_patience needs --watch")
    if values.watch and (values.metrics or values.require):
        raise UsageError("--watch cannot be combined with --metrics or --require")
    if values.markdown and values.json:
        raise UsageError("--markdown and --json are mutually exclusive")
    for name in FLAGS_OF_METRICS:
        if values[name].present and not values.metrics:
            raise UsageError(f"--{name} needs --metrics")


def _watch(values: Any, data: "DataSource") -> None:
    from groovae.config import config_map
    from groovae.generation.bundled import TRAIN_DIR
    from groovae.training.losses import Evaluator
    from groovae.training.validation import watch

    train_dir = Path(values.checkpoint or TRAIN_DIR).expanduser()
    data.examples()  # raises an error before the first checkpoint is awaited

    def evaluator() -> Evaluator:
        name, config = config_map.resolve_config(train_dir, values.config, values.hparams)
        return Evaluator(name, config, data.load(config_map.layout(config), train_dir, log))

    def on_evaluation(evaluation: "Evaluation") -> None:
        log(str(evaluation))

    best = watch(train_dir, evaluator, values.early_stop_patience, log, on_evaluation)
    if best:
        log(f"best checkpoint: step {best[0]:,}, loss {best[1]:.2f}, in {train_dir / 'best'}")


def _format_metrics(results: dict[str, Any], markdown: bool) -> str:
    from groovae.evaluation.tables import as_markdown, as_text, tables

    latent = results["latent"]
    active = "?" if latent["active_dimensions"] is None else latent["active_dimensions"]
    hits = "most likely hits" if "hit_f1" in results["scores"] else "given hits"
    head = [
        f"{results['checkpoint']}, step {results['step']:,}, config {results['config']}",
        f"{results['windows']:,} windows of {results['recordings']:,} recordings, "
        f"{results['hits']:,} hits, meter {results['meter']}, in {results['examples']}",
        f"z = mu, {hits}, velocity and timing "
        + ("given a hit" if results["as_hits"] else "averaged over hit and no hit"),
        f"baselines fitted on {results['baseline_examples']}; 95 % confidence intervals; "
        "* is worse than the model in 97.5 % of the bootstrap samples",
        f"{_summarize_losses(results['losses'])}; "
        f"KL {latent['kl_bits']:.1f} bits, {latent['free_bits']:g} of them free; "
        f"{active} of {latent['dimensions']} latent dimensions are active",
    ]
    if latent["warning"]:
        head.append(f"WARNING: {latent['warning']}")
    parts = map(as_markdown if markdown else as_text, tables(results))
    return "\n\n".join(["\n".join(head), *parts])


def _summarize_losses(losses: dict[str, float]) -> str:
    if not losses:
        return NO_LOSSES
    return f"loss {losses['loss']:.2f}, reconstruction {losses['losses/r_loss']:.2f}"


def _format_losses(evaluation: "Evaluation") -> str:
    width = max(map(len, LABELS.values()))
    head = (
        f"{evaluation.checkpoint}, step {evaluation.step:,}, config {evaluation.config}: "
        f"means over {evaluation.windows:,} windows, z = {evaluation.z}"
    )
    rows = [
        f"  {LABELS[name]:<{width}}  {value:10.4f}  {name}"
        for name, value in evaluation.losses.items()
    ]
    return "\n".join([head, *rows])
