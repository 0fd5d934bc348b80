"""What a preview warns of, and what its forecast does not cover."""

from typing import Literal

from agents.engines.settings import EngineSettings
from agents.hosted.spending import ServiceEngine
from agents.preview.forecast import Plan, usual_problems
from agents.preview.measure import Taken
from agents.preview.records import Forecast
from evaluation.record import Record
from evaluation.reporting.advice import FEW_EXAMPLES, Subject, response_warnings

CONFIDENCE = 0.975
"""How certain it must be that an agent will have few examples, for a warning. From 2 examples in 66 problems, 9 were
expected of 300, but there were 40."""


class Free(Record):
    """What the machine has left, in bytes."""

    memory_bytes: int
    disk_bytes: int


def warnings_of(taken: Taken, forecast: Forecast, plan: Plan, *, max_new_tokens: int, free: Free) -> list[str]:
    """One line for each thing to change before the job is run; empty if nothing is wrong.

    Args:
        taken: the sample.
        forecast: what the job is expected to take.
        plan: the size of the job.
        max_new_tokens: the limit of a response, `sampling.max_new_tokens`.
        free: what the machine has left.
    """
    debates = [Subject(f"in this preview ({taken.sample.problems} problems)", taken.shares)]
    return [
        *_size_warnings(taken.sample.problems, plan),
        *response_warnings(debates, [], max_new_tokens=max_new_tokens, page="of this preview"),
        *_learning_warnings(taken, forecast, plan.training),
        *_room_warnings(forecast, free),
    ]


def _size_warnings(problems: int, plan: Plan) -> list[str]:
    usual = usual_problems(plan.training, agents=plan.agents, batch_rows=plan.batch_rows)
    if problems >= usual:
        return []
    return [
        f"{problems} problem{'s are' if problems > 1 else ' is'} less than a batch ({usual} problems), so times and "
        "examples of the whole job may be too high or too low by a factor of two or more; leave --problems out"
    ]


def _learning_warnings(taken: Taken, forecast: Forecast, training: int) -> list[str]:
    speaking = {name: size for name, size in forecast.examples.items() if _speaks(name, taken)}
    if not any(speaking.values()):
        return [
            f"no agent would learn from these {taken.sample.problems} problems, so the training was not measured and "
            "the forecast leaves it out: no answer has finetune.min_votes votes, or no agent gave one of those that "
            "have; preview more problems (--problems), or lower finetune.min_votes"
        ]
    seen = taken.sample.problems
    few = {
        name: size
        for name, size in speaking.items()
        if _at_most(taken.sample.examples[name], seen=seen, training=training) < FEW_EXAMPLES
    }
    if not few:
        return []
    listed = ", ".join(f"{name} learns from about {size}" for name, size in few.items())
    return [
        f"in each iteration, {listed} examples: fewer than {FEW_EXAMPLES} teach an agent little; set a higher "
        "problems.train_size"
    ]


def _at_most(size: int, *, seen: int, training: int) -> float:
    """The upper end of an interval of an agent's examples in the job.

    Those of the sample are the job's own; those of the other problems are taken as Poisson distributed, with the exact
    limit (Garwood 1936).

    Args:
        size: examples in the sample.
        seen: problems of the sample.
        training: problems of an iteration.
    """
    # Not at the top: scipy.stats takes a second to load.
    from scipy.stats import chi2

    return size + float(chi2.ppf(CONFIDENCE, 2 * (size + 1))) / 2 * (training - seen) / seen


def _speaks(name: str, taken: Taken) -> bool:
    """Whether an agent of this role speaks at all: a debate of one round has no critics."""
    roles = {turn.agent.rpartition("-")[0] for each in taken.conversations for turn in each.transcript}
    return name.rpartition("-")[0] in roles


def _room_warnings(forecast: Forecast, free: Free) -> list[str]:
    warnings = []
    if forecast.memory_bytes > free.memory_bytes:
        warnings.append(
            f"the job is expected to take {gigabytes(forecast.memory_bytes)} of memory, but "
            f"{gigabytes(free.memory_bytes)} are free; lower runner.batch_rows or finetune.batch_size, or set "
            "finetune.gradient_checkpointing"
        )
    if forecast.disk_bytes > free.disk_bytes:
        warnings.append(
            f"the job is expected to write {gigabytes(forecast.disk_bytes)}, but {gigabytes(free.disk_bytes)} are free "
            "on the disk of the home; choose another home (--home), or lower iterations or finetune.rank"
        )
    return warnings


def gigabytes(size: int) -> str:
    """A size such as 1.3 GB; below 10 MB it is 0.01 GB or less."""
    return f"{size / 1e9:.2f} GB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def budget_warnings(forecast: Forecast, engine: EngineSettings) -> list[str]:
    """A line if the job is expected to pass the budget of the engine."""
    if not isinstance(engine, ServiceEngine) or engine.prices is None or engine.budget is None:
        return []
    cost, shown = engine.prices.of(forecast.service), engine.prices.shown
    if cost <= engine.budget:
        return []
    return [
        f"the job is expected to cost {shown(cost)}, but the budget is {shown(engine.budget)}; raise the engine's "
        "budget, or lower problems.train_size or iterations"
    ]


def notes_of(
    engine: EngineSettings, *, service: Literal["", "some", "all"] = "", registry: bool, asked: int | None, taken: int
) -> list[str]:
    """What the forecast does not cover, a sentence each.

    Args:
        engine: that of the job.
        service: whether some agents or all are trained by a service.
        registry: whether the society's generations are known.
        asked: the number of problems that the user asked for; None if it was left out.
        taken: the number of problems of the sample.
    """
    notes = ["The times are those of this machine while the preview ran; if other programs run then, they differ."]
    if asked is not None and asked > taken:
        notes.append(f"{asked:,} problems were asked for; all {taken:,} training problems of the job were used.")
    if not registry:
        notes.append("If the society has a champion, the job measures it too, which is one more evaluation.")
    if service:
        who = "Some agents are" if service == "some" else "The agents are"
        notes.append(
            f"{who} at a service: times are those of its answers during the preview, without its training; prompts are "
            "shown as messages; memory is that of this process. The preview itself was paid for too."
        )
    elif not engine.in_process:
        notes.append(
            f"engine.name is {engine.name}: the prompts are messages, to which the engine applies the chat template, "
            "and the memory is that of this process, which trains, without the engine's."
        )
    return notes
