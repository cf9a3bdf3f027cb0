"""What the nets of CLUE's tasks are worth on the dev part, beside baselines and the article's scores.

    TASK_METRIC by the official definitions; TASK_majority, TASK_tfidf: baselines fitted on the training part
    TASK_above_majority, TASK_above_tfidf; CHID also greedy, without the assignment; submissions_kept: files read back

The article's scores are of CLUE's server, by models of 100 million weights: they stand beside ours to say what is aimed
at, and are to be compared only where the data are CLUE's and the encoder is one of theirs (params/gpu.yaml).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import devices, tables, targets
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.core.targets import Target
from stages.nets.threads import one_thread
from stages.text.clue import baselines
from stages.text.clue.choice import Question, best
from stages.text.clue.classification import Record
from stages.text.clue.cluener import Text
from stages.text.clue.figures import figure
from stages.text.clue.metrics import accuracy
from stages.text.clue.predict import answers, told, trained
from stages.text.clue.records import Tally
from stages.text.clue.tasks import TASKS, Task
from stages.text.clue.train import Clue, Plan, prepared

ARTICLE = {  # BERT by this code, RoBERTa by this code; https://kexue.fm/archives/8739
    "iflytek": (61.19, 61.12),
    "tnews": (56.29, 58.35),
    "afqmc": (73.37, 73.61),
    "cmnli": (79.37, 80.81),
    "ocnli": (71.73, 74.27),
    "cluewsc2020": (73.85, 82.28),
    "csl": (84.03, 85.33),
    "cmrc2018": (72.10, 75.40),
    "c3": (61.33, 67.11),
    "chid": (85.13, 86.04),
    "cluener": (78.68, 79.38),
}


@dataclass(frozen=True)
class EvaluateClue:
    """Params of the evaluation."""

    archive: int  # number of the article
    data: str  # what the claims say they were measured on
    shown: int  # examples of each task
    device: str
    targets: tuple[Target, ...]


def evaluate(model: Path, inputs: Inputs, params: EvaluateClue) -> Findings:
    """Metrics of the nets in `model` on the dev parts of `truth`, and the promises held against them.

    Raises `Refusal` where there is no data set, and for a target of a metric that there is none of.
    """
    if inputs.truth is None:
        raise Refusal("params.yaml: CLUE is judged on a `truth`, a data set of kind clue")
    device = devices.pick(params.device)
    how, config, known = told(model, Clue)
    rows: dict[int, dict[str, float]] = {seed: {} for seed in how.seeds}
    examples_shown: list[dict[str, str]] = []
    kept = []
    with one_thread():
        for plan in how.tasks:
            task = choose(TASKS, plan.task, "tasks.task")
            parts = prepared(inputs.truth, task, plan, how, known, ("dev",))
            examples, samples = parts["dev"]
            base = peers(task, inputs.truth, examples)
            nets = trained(model, task, how.seeds, how, config, known, device)
            for seed, net in zip(how.seeds, nets, strict=True):
                scores = answers(net, samples, plan.batch, device, how.bf16)
                found = task.decode(scores, samples, examples)
                rows[seed] |= named(task, task.score(examples, found), base)
                if task.name == "chid":
                    greedy = accuracy([each.answer for each in examples], [best(each) for each in scores])
                    rows[seed]["chid_greedy"] = greedy
                if seed == how.seeds[0]:
                    examples_shown += shown(task, examples, found, params.shown)
            kept.append(read_back(task, plan, model, inputs.truth))
    for row in rows.values():
        row["submissions_kept"] = float(all(kept))
        above = [value for name, value in row.items() if name.endswith("_above_majority")]
        row |= {"least_above_majority": min(above)} if above else {}
    claims = targets.judged(rows, params.targets, params.archive, params.data)
    summary = targets.summary(rows)
    scores_table = table(how.tasks, summary)
    found_tables = {"scores": scores_table, "examples": _examples(examples_shown)}
    return Findings(summary, claims, found_tables, {"scores": figure(scores_table)})


def peers(task: Task, folder: Path, examples: Sequence[Any]) -> dict[str, float]:
    """The baselines' scores by the task's metric: majority, and tfidf or list; none of spans."""
    train = task.read(folder / task.name / "train.json", "train", Tally())
    if isinstance(train[0], Record):
        guessed = {"majority": [baselines.majority(train)] * len(examples), "tfidf": baselines.labels(train, examples)}
    elif isinstance(train[0], Question):
        guessed = {"majority": [baselines.majority(train)] * len(examples), "tfidf": baselines.choices(train, examples)}
    elif isinstance(train[0], Text):
        guessed = {"list": baselines.names(train, examples)}
    else:
        guessed = {}
    return {name: task.score(examples, found)[task.metric] for name, found in guessed.items()}


def named(task: Task, scores: dict[str, float], base: dict[str, float]) -> dict[str, float]:
    """The metrics of a task under its name, and how far above the baselines they are."""
    found = {f"{task.name}_{name}": value for name, value in (scores | base).items()}
    above = {f"{task.name}_above_{name}": scores[task.metric] - value for name, value in base.items()}
    return found | above


def shown(task: Task, examples: Sequence[Any], found: Sequence[Any], most: int) -> list[dict[str, str]]:
    """The first examples with what was predicted, as a person reads it."""
    rows = []
    for example, answer in list(zip(examples, found, strict=True))[:most]:
        if isinstance(example, Question):
            answer = example.candidates[answer] if answer < len(example.candidates) else ""
        elif isinstance(example, Text):
            answer = "、".join(f"{example.text[first : last + 1]} {kind}" for kind, first, last in answer)
        rows.append({"task": task.name, "text": example.shown, "gold": example.gold, "predicted": answer})
    return rows


def read_back(task: Task, plan: Plan, model: Path, folder: Path) -> bool:
    """Whether the submission that the training left answers every record of the test part and is read back as it is."""
    path = folder / task.name / "test.json"
    if not path.exists():
        return True
    examples = task.read(path, "test", Tally())
    text = (model / "submissions" / task.file).read_text(encoding="utf-8")
    found = task.parsed(text)
    return task.submission(examples, [found.get(example.id) for example in examples]) == text


def table(plans: Sequence[Plan], summary: dict[str, float]) -> Any:
    """A row a task: its metric, ours and the baselines' score, and the article's, in per cent."""
    import pyarrow as pa

    number = pa.float64()
    columns = tables.schema(
        task=(pa.string(), "task"),
        metric=(pa.string(), "by the official definition"),
        ours=(number, "per cent on the dev part, mean over seeds"),
        majority=(number, "the most frequent answer of the training part"),
        tfidf=(
            number,
            "logistic regression on tf-idf of characters; of CLUENER a list of the names of the training part",
        ),
        article_bert=(number, "BERT by the article's code on CLUE's test server"),
        article_roberta=(number, "RoBERTa-wwm-ext by the article's code on CLUE's test server"),
    )
    rows = []
    for plan in plans:
        task = choose(TASKS, plan.task, "tasks.task")
        ours, majority = summary[f"{task.name}_{task.metric}"], summary.get(f"{task.name}_majority")
        tfidf = summary.get(f"{task.name}_tfidf", summary.get(f"{task.name}_list"))
        scores = [None if value is None else 100 * value for value in (ours, majority, tfidf)]
        rows.append(dict(zip(columns.names, [task.name, task.metric, *scores, *ARTICLE[task.name]], strict=True)))
    return pa.Table.from_pylist(rows, schema=columns)


def _examples(rows: list[dict[str, str]]) -> Any:
    import pyarrow as pa

    text = pa.string()
    columns = tables.schema(
        task=(text, "task"), text=(text, "what is asked"), gold=(text, "right answer"), predicted=(text, "ours")
    )
    return pa.Table.from_pylist(rows, schema=columns)
