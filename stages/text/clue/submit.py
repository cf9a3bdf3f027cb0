"""Answers of a trained model to a file of one of CLUE's tasks, as CLUE's server takes them.

python -m stages.text.clue.submit models/clue tnews test.json tnews11_predict.json
"""

from __future__ import annotations

import sys
from pathlib import Path

from stages.core import devices
from stages.core.errors import Refusal
from stages.core.params import choose
from stages.core.progress import say
from stages.text.clue.predict import answers, told, trained
from stages.text.clue.records import Tally, tell
from stages.text.clue.tasks import TASKS
from stages.text.clue.train import Clue


def submit(model: Path, name: str, asked: Path, out: Path, device: str = "auto") -> int:
    """Write the submission for the records of the file `asked` to `out`; returns how many were answered.

    Raises `Refusal` where model or file is missing, or the model was not trained for the task.
    """
    task = choose(TASKS, name, "the task")
    how, config, known = told(model, Clue)
    plan = next((plan for plan in how.tasks if plan.task == name), None)
    if plan is None:
        raise Refusal(f"{model} knows {', '.join(plan.task for plan in how.tasks)}, but not {name}: train it for that")
    if not asked.is_file():
        raise Refusal(f"{asked} is missing: name a file of the task's test part")
    tally, where = Tally(), devices.pick(device)
    examples = task.read(asked, "test", tally)
    samples = task.samples(examples, known, plan.length, how.stride, tally)
    tell(f"{name} {asked.name}", tally)
    (net,) = trained(model, task, how.seeds[:1], how, config, known, where)
    found = task.decode(answers(net, samples, plan.batch, where, how.bf16), samples, examples)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(task.submission(examples, found), encoding="utf-8")
    return len(examples)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    if len(arguments) != 4:
        say("usage: python -m stages.text.clue.submit MODEL TASK TEST_FILE OUT")
        return 2
    model, name, asked, out = arguments
    try:
        say(f"{out}: {submit(Path(model), name, Path(asked), Path(out))} answers")
    except Refusal as refusal:
        say(str(refusal))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
