"""CLUE: an encoder fine-tuned on each of the tasks of a list, by one loop.

Article: https://kexue.fm/archives/8739; paper: Xu et al. 2020, https://arxiv.org/abs/2004.05986.

    theta <- theta - rate max(RMS(theta), 1e-3) m,   m the mean of u / max(1, RMS(u)),  u = g / sqrt V

is the article's optimiser, AdaFactor that factors nothing; AdamW and others by name. Batches are of texts of like
length, gradients gather over `accumulate` of them. The encoder is new, or that in the folder `against`: pretrained here
(row of kind masked_language_model) or a public one. The number: every task above its majority and, where a bag of
characters cannot know, above tf-idf with logistic regression (row `clue`).
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from stages.core import devices, files, tables
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.systems import Findings, Inputs
from stages.nets import curves
from stages.nets.optimisers import OPTIMISERS, Accumulate, AdaFactor
from stages.nets.seeds import seeded
from stages.nets.threads import one_thread
from stages.nets.training import History, Watch, fade, fit
from stages.text.bert import checkpoints
from stages.text.bert.model import Config, Encoder
from stages.text.bert.vocabulary import Vocabulary
from stages.text.clue.heads import Net
from stages.text.clue.predict import answers
from stages.text.clue.records import PARTS, Tally, place, tell
from stages.text.clue.samples import Samples, drawn, order
from stages.text.clue.tasks import TASKS, Task

SMALL = 256  # width up to which one thread is fastest


@dataclass(frozen=True)
class Plan:
    """How one task is trained; the article's numbers are in params/gpu.yaml."""

    task: str
    length: int  # tokens of a sample at most
    batch: int
    accumulate: int  # batches a step
    epochs: int


@dataclass(frozen=True)
class Clue:
    """Params of a training."""

    tasks: tuple[Plan, ...]
    encoder: Config  # of a new one; one from `against` keeps its own
    characters: int  # most frequent ones of the training texts that a vocabulary has, or is given if it lacks them
    pool: str  # first, mean or max: the sentence vector
    stride: int  # tokens from window to window of a passage
    optimiser: str  # article, or a name of stages/nets/optimisers
    rate: float
    fade: bool  # to 0 over the last half
    keep: str  # last, or best: of the epochs, on the dev part
    seeds: tuple[int, ...]
    watch: Watch
    device: str
    bf16: bool
    compile: bool


def train(inputs: Inputs, params: Clue, out: Path) -> Findings:
    """Train one net for each task and seed on the data set `inputs.input`, from the encoder `inputs.against` or anew.

    Writes `out`/TASK/seed_N.safetensors, model.json, vocab.txt, history.parquet (task, seed, step, loss) and
    `out`/submissions, CLUE's files of the test parts by the first seed. Raises `Refusal` where a part is missing.
    """
    from safetensors.torch import save_file

    if inputs.input is None:
        raise Refusal("params.yaml: CLUE needs an `input`, a data set of kind clue")
    device = devices.pick(params.device)
    start = begun(inputs, params, device)
    out.mkdir(parents=True)
    records: dict[str, dict[int, History]] = {}
    with one_thread() if device.type == "cpu" and start[0].config.dim <= SMALL else nullcontext():
        for plan in params.tasks:
            task, records[plan.task] = TASKS[plan.task], {}
            parts = prepared(inputs.input, task, plan, params, start[1])
            for seed in params.seeds:
                spool = inputs.spool / plan.task / f"seed_{seed}" if inputs.spool else None
                net, records[plan.task][seed] = learnt(start[0], task, parts, plan, params, seed, device, spool)
                (out / plan.task).mkdir(exist_ok=True)
                save_file(
                    {k: v.cpu() for k, v in net.state_dict().items()}, out / plan.task / f"seed_{seed}.safetensors"
                )
                if seed == params.seeds[0] and "test" in parts:
                    examples, samples = parts["test"]
                    found = task.decode(answers(net, samples, plan.batch, device, params.bf16), samples, examples)
                    (out / "submissions").mkdir(exist_ok=True)
                    (out / "submissions" / task.file).write_text(task.submission(examples, found), encoding="utf-8")
    files.write_json({"params": asdict(params), "encoder": asdict(start[0].config)}, out / "model.json")
    start[1].write(out / "vocab.txt")
    tables.write(_history(records), out / "history.parquet")
    return Findings(history={f"loss.{name}": seeds[params.seeds[0]]["loss"] for name, seeds in records.items()})


def begun(inputs: Inputs, params: Clue, device: torch.device) -> tuple[Encoder, Vocabulary]:
    """The encoder that every task starts from, and its vocabulary: that of `against`, with the characters it lacks."""
    tasks = [choose(TASKS, plan.task, "tasks.task") for plan in params.tasks]
    read = [task.read(place(inputs.input, task.name, "train"), "train", Tally()) for task in tasks]
    met = Vocabulary.of((text for part in read for example in part for text in example.texts), params.characters)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(params.seeds[0])
        if not inputs.against:
            return Encoder(params.encoder, len(met)).to(device), met
        encoder, known = checkpoints.load(inputs.against, "cpu")
        more = [token for token in met.tokens if token not in known.number]
        wider = Encoder(encoder.config, len(known) + len(more))
    held = encoder.state_dict()
    held["tokens.weight"] = torch.cat([held["tokens.weight"], wider.tokens.weight[len(known) :].detach()])
    wider.load_state_dict(held)
    return wider.to(device), Vocabulary([*known.tokens, *more], known.lower)


def prepared(
    folder: Path, task: Task, plan: Plan, params: Clue, known: Vocabulary, parts: tuple[str, ...] = PARTS
) -> dict[str, tuple[list[Any], Samples]]:
    """Examples and samples of the parts of a task; a data set may have no test part."""
    found = {}
    for part in parts:
        if part == "test" and not (folder / task.name / "test.json").exists():
            continue
        tally: Tally = Tally()
        examples = task.read(place(folder, task.name, part), part, tally)
        if not examples:
            raise Refusal(f"{folder} has no {part} part of {task.name} to speak of: mend its row of corpora")
        found[part] = examples, task.samples(examples, known, plan.length, params.stride, tally)
        tell(f"{task.name} {part}", tally)
    return found


def learnt(
    start: Encoder,
    task: Task,
    parts: dict[str, tuple[list[Any], Samples]],
    plan: Plan,
    params: Clue,
    seed: int,
    device: torch.device,
    spool: Path | None,
) -> tuple[Net, History]:
    """One net, and the loss of every batch. With `spool` a killed training goes on."""
    samples = parts["train"][1].to(device)
    with seeded(seed, device) as chance:
        net = Net(deepcopy(start), task.head(start.config.dim, params.pool)).to(device).train()
        best, score = deepcopy(net), torch.zeros((), dtype=torch.float64)
        optimiser = optimised(net, params, plan.accumulate)
        forward = torch.compile(net, dynamic=True) if params.compile and device.type == "cuda" else net
        batches = -(-len(samples) // plan.batch)  # an epoch
        steps, held = plan.epochs * batches, {}

        def step(i: int) -> dict[str, torch.Tensor]:
            epoch, at = divmod(i, batches)
            if epoch not in held:
                held.clear()
                held[epoch] = order(samples, plan.batch, seed, epoch)
            batch = drawn(samples, held[epoch], at)
            if params.fade:
                fade(optimiser, params.rate, i, steps)
            optimiser.zero_grad()
            with devices.precision(device, params.bf16):
                scores = forward(batch)
            loss = net.head.loss(scores.float(), batch.targets)
            loss.backward()
            optimiser.step(weight=len(batch.ids))
            if i == steps - 1:
                optimiser.flush()
            if at == batches - 1 and choose({"best": True, "last": False}, params.keep, "keep"):
                examples, dev = parts["dev"]
                found = task.decode(answers(net, dev, plan.batch, device, params.bf16), dev, examples)
                now = task.score(examples, found)[task.metric]
                if epoch == 0 or now > score:
                    score.fill_(now)
                    best.load_state_dict(net.state_dict())
            return {"loss": loss.detach()}

        parts_kept = {"net": net, "optimiser": optimiser, "chance": chance}
        parts_kept |= {"best": best, "score": score} if params.keep == "best" else {}
        history = fit(step, parts_kept, steps, params.watch, spool, f"CLUE: {task.name}")
    return (best if params.keep == "best" else net), history


def optimised(net: torch.nn.Module, params: Clue, accumulate: int) -> Accumulate:
    """The optimiser that `params` name, stepping once in `accumulate` batches."""
    if params.optimiser == "article":  # of https://kexue.fm/archives/8739
        base: torch.optim.Optimizer = AdaFactor(
            net.parameters(), params.rate, relative=False, beta1=0.9, e2=1e-3, factored=10**6
        )
    else:
        base = choose(OPTIMISERS, params.optimiser, "optimiser")(net, params.rate)
    return Accumulate(base, accumulate)


def _history(records: dict[str, dict[int, History]]) -> Any:
    import pyarrow as pa

    tables_of = [(name, curves.table(seeds)) for name, seeds in records.items()]
    return pa.concat_tables([table.add_column(0, "task", pa.array([name] * len(table))) for name, table in tables_of])
