"""Warnings about a finished debate or generation: what went wrong with the responses, and what to change.

They are shown in the log, below the tables of the terminal and of Prefect and MLflow, in `--json` as `warnings`, and on
the page of a benchmark.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from evaluation.benchmark.methods import METHODS
from evaluation.benchmark.results import Outcome
from evaluation.scores import GenerationScores, ResponseShares

MANY = 1 / 3
"""A share of responses above this is worth a warning: with three agents, more than one response per problem is lost."""
FEW_EXAMPLES = 20
"""An agent that learns from fewer examples gets a warning. At the default batch size of 4 and 3 epochs, 20 examples are
15 steps of the optimizer. In a job of 100 training problems, whose critics learned from 18, 14 and 6 examples, the
society did not gain (80 % right after 82 % before)."""
LONGEST_RESPONSE = 32_768
"""The largest value of sampling.max_new_tokens."""

_Share = Literal["unanswered_share", "cut_share"]


class Subject(NamedTuple):
    """Responses that a warning may be about."""

    title: str
    """The words after `of the responses`, such as `of generation 1 to held-out problems`."""
    shares: ResponseShares


def generation_warnings(generations: Sequence[GenerationScores], max_new_tokens: int | None) -> list[str]:
    """What to change after a job, one line per kind of fault; empty if nothing is wrong.

    Args:
        generations: the generations of one job, or some of them.
        max_new_tokens: the limit of one response, `sampling.max_new_tokens`; None if it is not known.
    """
    debates, agents = [], []
    for scores in generations:
        held_out = f"of generation {scores.generation} to held-out problems"
        debates.append(Subject(held_out, scores))
        debates.append(Subject(f"that generation {scores.generation} learned from", scores.training_responses))
        agents += [
            Subject(f"of {agent.role}-{agent.index} in round {one.round} {held_out}", agent)
            for one in scores.rounds
            for agent in one.agents
        ]
    page = "in `maft preview` or in transcripts.json of the generation's run in MLflow"
    responses = response_warnings(debates, agents, max_new_tokens=max_new_tokens, page=page)
    return [
        *responses,
        *_never_right(generations),
        *_learning_warnings(generations),
        *_left_out(generations, max_new_tokens),
    ]


def benchmark_warnings(outcomes: Iterable[Outcome], max_new_tokens: int | None) -> list[str]:
    """What to change after a benchmark, one line per kind of fault; empty if nothing is wrong.

    Args:
        outcomes: of all methods, iterations and seeds.
        max_new_tokens: as for `generation_warnings`.
    """
    debates = []
    for each in outcomes:
        problems = "problems of another kind" if each.transfer else "held-out problems"
        place = f"{METHODS[each.method].title}, iteration {each.iteration}, seed {each.seed}"
        debates.append(Subject(f"to {problems} ({place})", each))
        debates.append(Subject(f"to training problems ({place})", each.training_responses))
    page = "in the debates on the benchmark's page"
    return response_warnings(debates, [], max_new_tokens=max_new_tokens, page=page)


def response_warnings(
    debates: Sequence[Subject], agents: Sequence[Subject], *, max_new_tokens: int | None, page: str
) -> list[str]:
    """At most one warning about cut responses and one about missing answers, each about the largest share above MANY.

    Args:
        debates: whole debates.
        agents: single agents; one of them is named only if no debate as a whole is above MANY.
        max_new_tokens: as for `generation_warnings`.
        page: where users can read responses, such as `in transcripts.json`.
    """
    warnings = []
    if cut := _worst(debates, agents, "cut_share"):
        used, higher = _limits(max_new_tokens)
        warnings.append(
            f"{cut} were cut at the limit {used} (or at the end of the model's context), mostly before the answer; "
            f"set {higher}"
        )
    if unanswered := _worst(debates, agents, "unanswered_share"):
        remedy = (
            "More will have one when fewer are cut"
            if cut
            else "If they have answers in another form, ask for another one in prompts, or set answers.kind"
        )
        warnings.append(f"{unanswered} have no answer and count as wrong. Read some responses {page}. {remedy}")
    return warnings


def _limits(max_new_tokens: int | None) -> tuple[str, str]:
    """The limit of a response and a higher one, in words."""
    if max_new_tokens is None:
        return "sampling.max_new_tokens", "a higher one"
    higher = min(2 * max_new_tokens, LONGEST_RESPONSE)
    return f"sampling.max_new_tokens={max_new_tokens}", f"a higher one, such as {higher}"


def _worst(debates: Sequence[Subject], agents: Sequence[Subject], kind: _Share) -> str | None:
    """The first words of a warning about the largest share above MANY; None if no share is above it."""
    for subjects in (debates, agents):
        found = [(share, each.title) for each in subjects if (share := getattr(each.shares, kind)) is not None]
        share, title = max(found, key=lambda each: each[0], default=(0.0, ""))
        if share > MANY:
            return f"{100 * share:.0f} % of the responses {title}"
    return None


def _never_right(generations: Sequence[GenerationScores]) -> list[str]:
    """A warning if no agent gave a right answer to any held-out problem, though most gave one."""
    never = [
        each
        for each in generations
        if (each.unanswered_share or 0.0) <= MANY and all(a.accuracy == 0 for one in each.rounds for a in one.agents)
    ]
    if not never:
        return []
    return [
        f"no agent of {_numbered(never)} was right on any held-out problem; compare some responses in `maft preview` "
        "with the reference answers: the problems may be too hard for the base model, the references may have another "
        "form than the answers (answers.kind), or the prompts may ask for something else"
    ]


def _learning_warnings(generations: Sequence[GenerationScores]) -> list[str]:
    """A warning if generations learned nothing, and one if agents of a generation learned from few examples."""
    warnings = []
    nothing = [each for each in generations if each.learned_nothing]
    if nothing:
        labels = sum(each.kept_labels for each in nothing)
        problems = labels + sum(each.dropped_labels for each in nothing)
        warnings.append(
            f"{_numbered(nothing)} learned nothing, since no agent had an example: {labels} of {problems} training "
            "problems had an answer with finetune.min_votes votes; find out why agents do not agree, lower "
            "finetune.min_votes, or set a higher problems.train_size"
        )
    few = {
        each.generation: [(agent, size) for agent, size in each.examples.items() if size < FEW_EXAMPLES]
        for each in generations
        if not each.learned_nothing
    }
    few = {generation: agents for generation, agents in few.items() if agents}
    if few:
        generation, agents = max(few.items(), key=lambda item: len(item[1]))
        others = len(few) - 1
        too = f" (and agents of {others} other generation{'s' if others > 1 else ''})" if others else ""
        warnings.append(
            f"in generation {generation}, {', '.join(f'{agent} learned from {size}' for agent, size in agents)} "
            f"examples{too}; fewer than {FEW_EXAMPLES} teach an agent little: set a higher problems.train_size"
        )
    return warnings


def _left_out(generations: Sequence[GenerationScores], max_new_tokens: int | None) -> list[str]:
    """A warning if more than MANY of an agent's responses that agree with the consensus were cut, so not learned."""
    shares = [
        (each.left_out[agent] / agreeing, agent, each)
        for each in generations
        for agent, agreeing in each.agreeing.items()
        if agreeing
    ]
    share, agent, scores = max(shares, key=lambda found: found[0], default=(0.0, "", None))
    if scores is None or share <= MANY:
        return []
    used, higher = _limits(max_new_tokens)
    return [
        f"generation {scores.generation}: {scores.left_out[agent]} of the {scores.agreeing[agent]} responses of "
        f"{agent} that agree with the consensus were cut at the limit {used} (or at the end of the model's context), "
        f"and so not learned; set {higher}"
    ]


def _numbered(generations: Sequence[GenerationScores]) -> str:
    """Such as `generation 1` or `generations 1, 2`."""
    numbers = ", ".join(str(each.generation) for each in generations)
    return f"generation{'s' if len(generations) > 1 else ''} {numbers}"
