"""One method of a benchmark under one seed, from the untuned base through its iterations.

The steps are those of Algorithm 1. Steps that methods share are computed once, since their tasks have equal keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prefect import flow

from agents.algorithm import StoredProblems, assess, hold_debate, learn, split_among
from agents.benchmark.score_method import MethodScore, Place
from agents.judging.embedding import EncoderRef
from agents.records import Learned, Stream, Transcript
from agents.run import Run
from agents.society import Society
from agents.store import Artifact
from evaluation.benchmark.methods import METHODS, Method, MethodName
from infra.config.job import Config
from tasks.benchmark.steps import diversity, pool, rationalise, references, score_method
from tasks.prepare import renew


@dataclass(frozen=True)
class Questions:
    """The problems that a method is trained and measured on."""

    sets: StoredProblems
    transfer: Artifact | None
    """Held-out problems of another kind; None if there are none."""
    encoder: EncoderRef | None
    """The sentence encoder for the dissimilarity of responses; None leaves this measure out."""


@flow(name="method", flow_run_name="{name} · seed {config.seed}", validate_parameters=False)
def run_method(name: MethodName, config: Config, *, run: Run, questions: Questions) -> list[MethodScore]:
    """Score a method before finetuning and after each iteration, and at the end on problems of another kind, if any.

    Args:
        name: the name of the method.
        config: the method's own config, see `infra.config.benchmark.Benchmark.job`.
        run: the base models, the engine and the store.
        questions: the problems.
    """
    method, sets = METHODS[name], questions.sets
    society, learned, scores = Society.untuned(config.agents), None, []
    answering = _debating(method, config, training=False).settings
    for iteration in range(1 + config.iterations if method.finetuned else 1):
        here = run.labelled(f"{method.title} · seed {config.seed} · iteration {iteration}")
        if iteration:
            if config.problems.renew:
                sets = renew(sets, config.problems, grader=config.answers, seed=config.seed, draw=iteration - 1)
            learned = learn_by(method, config, run=here, society=society, problems=sets.train)
            society = learned.society
        answered = assess(here, society, x=sets.evaluation, settings=answering)
        spread = None
        if method.finetuned:
            first = answered.model_copy(update={"rounds": answered.rounds[:1]})
            spread = diversity(here, society.generators, transcript=first, encoder=questions.encoder)
        place = Place(method=name, iteration=iteration)
        scores.append(score_method(here, society, place=place, debates=[answered], made=(learned, spread)))
    if questions.transfer:
        there = here.labelled(f"{here.label} · other problems")
        answered = assess(there, society, x=questions.transfer, settings=answering)
        place = Place(method=name, iteration=iteration, transfer=True)
        scores.append(score_method(there, society, place=place, debates=[answered]))
    return scores


def _debating(method: Method, config: Config, *, training: bool) -> Config:
    """The config with the method's number of rounds, in training or in answering."""
    rounds = method.rounds(config.debate.rounds, training)
    return config.model_copy(update={"debate": config.debate.model_copy(update={"rounds": rounds})})


def learn_by(method: Method, config: Config, *, run: Run, society: Society, problems: Artifact) -> Learned:
    """One iteration: sample, label, split, pool the datasets that one model learns from, finetune."""
    iteration, n = society.generation + 1, config.agents
    settings = _debating(method, config, training=True).settings
    if method.learns == "own" and not method.sees_labels:
        return learn(run, society, x=problems, settings=settings, generation=iteration)
    stream = Stream(seed=config.seed, purpose="train", iteration=iteration)
    y = hold_debate(run, society, x=problems, settings=settings, stream=stream)
    sampled = y.rounds
    if method.sees_labels:
        retried = rationalise(run, society.generators, transcript=y, sampling=config.sampling)
        sampled, y = (*sampled, retried), y.ending_in(retried)
        consensus = references(run, problems)
    else:
        consensus = run.steps.vote(run, y, min_votes=settings.finetune.min_votes)
    D = split_among(run, society.agents, y=y, consensus=consensus, settings=settings)
    learners = society.agents
    if method.learns == "role":
        D = [pool(run, D[:n])] * n + [pool(run, D[n:])] * n
    elif method.learns == "all":
        learners, D = society.agents[:1], [pool(run, D)]
    tuned = run.steps.finetune(run, learners, datasets=D, settings=settings.finetune, stream=stream)
    new = [result.agent for result in tuned]
    made = (
        Society.sharing(iteration, new[0].adapter, n)
        if method.learns == "all"
        else Society(generation=iteration, generators=new[:n], critics=new[n:])
    )
    return Learned(society=made, sampled=sampled, consensus=consensus, datasets=D, tuned=tuned)


@flow(name="match", flow_run_name="{name} · seed {config.seed}", validate_parameters=False)
def match(name: MethodName, config: Config, *, run: Run, reference: list[MethodScore]) -> list[MethodScore]:
    """Score an untuned method that samples as many tokens as `reference` up to each of its iterations, or a few more.

    Groups of N agents answer the problems of `reference` until they have sampled as many tokens as `reference` did in
    training and answering; all agents of all groups vote. Each iteration keeps the groups of the previous one and adds
    more.
    """
    method = METHODS[name]
    answering = _debating(method, config, training=False).settings
    scores = []
    for transfer in (False, True):
        own = [each for each in reference if each.outcome.transfer == transfer and each.outcome.iteration]
        used: list[Transcript] = []
        for each in own:
            iteration = each.outcome.iteration
            label = f"{method.title} · seed {config.seed} · iteration {iteration}{' · other problems' * transfer}"
            while _tokens(used) < _spent(reference, iteration) + each.outcome.answering.sampled_tokens:
                group = Society.untuned(config.agents, first=len(used) * config.agents)
                here = run.labelled(f"{label} · {len(used) + 1}")
                used.append(assess(here, group, x=each.problems, settings=answering))
            society = Society.untuned(config.agents * len(used))
            place = Place(method=name, iteration=iteration, transfer=transfer)
            scores.append(score_method(run.labelled(label), society, place=place, debates=used))
    return scores


def _spent(reference: Sequence[MethodScore], iteration: int) -> int:
    """Number of tokens sampled for training up to an iteration."""
    return sum(each.outcome.training.sampled_tokens for each in reference if each.outcome.iteration <= iteration)


def _tokens(groups: Sequence[Transcript]) -> int:
    return sum(responses.sampled_tokens for group in groups for responses in group.rounds)
