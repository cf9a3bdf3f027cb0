"""Which model of a family people should use: `python -m stages.promote [FAMILY]`.

The best evaluated row of this checkout gets the alias `champion` of the registered model `qujing-FAMILY` in MLflow when
it beats the champion there is by the margin that params.yaml states, and no guarded metric is too low; otherwise one
sentence says why not. Numbers are compared only where they were measured on the same truth. The registry holds no
weights: a version's tags say which md5 it is and how DVC gets it.

Exit code 0 where it was decided, 1 where it could not be (tracking off, MLflow silent, a wrong section).
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from stages.core import files, params, tracking
from stages.core.errors import Refusal
from stages.core.progress import say

ALIAS = "champion"


@dataclass(frozen=True)
class Rule:
    """A family's entry in the section `promotion`."""

    metric: str  # of metrics/ROW.json, which decides
    better: Literal["higher", "lower"]
    margin: float  # by which the champion must be beaten, in the metric's unit
    at_least: dict[str, float]  # metrics below which nothing is promoted


@dataclass(frozen=True)
class Candidate:
    """An evaluated row of this checkout."""

    row: str
    made: str  # md5 of its model
    metrics: dict[str, float]
    truth: str  # digest of the data set that it was measured on
    run: str  # of MLflow


def candidates(mlflow: Any, family: str) -> tuple[list[Candidate], list[str]]:
    """The rows of `family` whose model and metrics stand here, and a sentence for each that MLflow has no run of."""
    home, found, silent = tracking.home_of(mlflow, family), [], []
    for key, row in params.load()["systems"].items():
        model, metrics = Path("models") / key, Path("metrics") / f"{key}.json"
        if row["family"] != family or not model.exists() or not metrics.exists():
            continue
        made = files.digest(model)
        if run := tracking.find(mlflow, home, made):
            truth = _truth(run.inputs.dataset_inputs, Path(row["truth"]))
            found.append(Candidate(key, made, files.read_json(metrics), truth, run.info.run_id))
        else:
            silent.append(f"{key} is left out: MLflow has no run that made {made} (python -m stages.restored adds one)")
    return found, silent


def _truth(inputs: list[Any], place: Path) -> str:
    """The truth logged with a run; of several, and of a restored run that has none, the one that lies here now."""
    logged = [read.dataset.digest for read in inputs if "truth" in (tag.value for tag in read.tags)]
    here = files.digest(place) if place.exists() else ""
    return here if here in logged or not logged else logged[-1]


def decide(mlflow: Any, family: str, rule: Rule) -> str:
    """Give or leave the alias; returns what was decided and why, a sentence a line."""
    name = f"qujing-{family}"
    found, said = candidates(mlflow, family)
    said += [why for one in found if (why := _unfit(one, rule))]
    fit = [one for one in found if not _unfit(one, rule)]
    champion = current(mlflow, name)
    old = champion.tags if champion else {}
    truths = Counter(one.truth for one in fit)
    truth = max(truths, key=lambda digest: (truths[digest], digest == old.get("truth")), default="")
    said += [f"{one.row} is left out: its truth was another, {one.truth}" for one in fit if one.truth != truth]
    sign = 1 if rule.better == "higher" else -1
    ranked = sorted((one for one in fit if one.truth == truth), key=lambda one: -sign * one.metrics[rule.metric])
    if not ranked:
        return "\n".join([*said, f"{family}: there is nothing to promote, the alias stays as it is"])
    best = ranked[0]
    value = best.metrics[rule.metric]
    who, former = f"{family}: {best.row} with {rule.metric} {value:.4f}", old.get("row", "")
    if champion is None:
        said.append(f"{who} is the first champion")
    elif old.get("made") == best.made:
        said.append(f"{who} stays champion")
    elif old.get("truth") != truth:
        said.append(f"{who} becomes champion as today's best; {former} was measured on another truth: not comparable")
    else:
        today = {one.made: one.metrics[rule.metric] for one in ranked}
        number = today.get(old.get("made", ""), float(old.get(f"metric.{rule.metric}", "nan")))
        if not round(sign * (value - number), 12) >= max(rule.margin, 1e-12):
            needs = f"by the margin of {rule.margin:g}"
            said.append(f"{who} does not beat the champion {former} with {number:.4f} {needs}: the alias stays")
            return "\n".join(said)
        said.append(f"{who} becomes champion: {former} had {number:.4f}")
    promote(mlflow, name, best)
    return "\n".join(said)


def _unfit(one: Candidate, rule: Rule) -> str:
    """Why a candidate cannot be promoted at all, "" where it can."""
    for metric in (rule.metric, *rule.at_least):
        if metric not in one.metrics:
            return f"{one.row} is refused: metrics/{one.row}.json has no {metric}"
    for metric, least in rule.at_least.items():
        if one.metrics[metric] < least:
            return f"{one.row} is refused: its {metric} {one.metrics[metric]:.4f} is below {least:g}"
    return ""


def current(mlflow: Any, name: str) -> Any | None:
    """The version of the registered model `name` that carries the alias; None where there is none yet."""
    for model in mlflow.search_registered_models(f"name = '{name}'"):
        if ALIAS in model.aliases:
            return mlflow.get_model_version(name, str(model.aliases[ALIAS]))
    return None


def promote(mlflow: Any, name: str, best: Candidate) -> None:
    """Give the alias to the version that holds `best`, made where there is none; its tags say today's numbers."""
    if not mlflow.search_registered_models(f"name = '{name}'"):
        mlflow.create_registered_model(name, description="Champions of the family; `get` in the tags says how.")
    versions = mlflow.search_model_versions(f"name = '{name}'")
    version = next((v.version for v in versions if v.tags.get("made") == best.made), None)
    if version is None:
        folder = "train" if mlflow.list_artifacts(best.run, "train") else ""
        source = f"runs:/{best.run}/{folder}".rstrip("/")
        version = mlflow.create_model_version(name, source, best.run, tags={"made": best.made}).version
    for key, value in {**tags(best), **{f"metric.{k}": str(v) for k, v in best.metrics.items()}}.items():
        mlflow.set_model_version_tag(name, version, key, value)
    mlflow.set_registered_model_alias(name, ALIAS, version)


def tags(best: Candidate) -> dict[str, str]:
    """What a version says of its model: row, truth, commit, and how to get the model from DVC."""
    commit, model = tracking.commit(), f"models/{best.row}"
    lock = subprocess.run(["git", "show", f"{commit}:dvc.lock"], capture_output=True, text=True, check=False).stdout
    get = f"dvc pull {model} in a checkout whose dvc.lock has {best.made} for it"
    if commit and best.made in lock:
        get = f"git checkout {commit} && dvc pull {model}"
    return {"row": best.row, "truth": best.truth, "commit": commit, "get": get}


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    try:
        values = params.load()
        rules = params.pick(values, "the file", "promotion")
        wanted = {
            family: params.typed(Rule, params.pick(rules, "promotion", family), f"promotion.{family}")
            for family in arguments or rules
        }
        if tracking.off():
            raise Refusal("tracking is off (QUJING_TRACKING), and champions live in MLflow")
        decided = False
        with tracking.forgiving(f"nothing was decided, MLflow at {tracking.where()} failed"):
            mlflow = tracking.client()
            for family, rule in wanted.items():
                print(decide(mlflow, family, rule))
            decided = True
    except Refusal as refusal:
        say(f"promote: {refusal}")
        return 1
    return 0 if decided else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
