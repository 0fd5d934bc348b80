"""One method of a benchmark under one seed, from the untuned base through its iterations.

The steps are those of `flows.iterate`, and what methods have in common is computed once: their tasks have equal keys.
"""

from collections.abc import Sequence

from prefect import flow

from agents.debate.generate import Stream
from agents.engines.base_model import Bases
from agents.judging.embedding import EncoderRef
from agents.society import Society
from agents.store import Artifact
from evaluation.benchmark.methods import METHODS, Method, MethodName
from flows.iterate import assess, collect, hold_debate, split_among, teach
from infra.config.job import Config
from tasks.diversity import diversity
from tasks.finetune import Finetuned
from tasks.outcome import Learned, Measured, measure
from tasks.prepare import PreparedProblems, renew
from tasks.sample import Responses
from tasks.split import pool
from tasks.star import rationalise, references


@flow(name="follow", flow_run_name="{name} · seed {config.seed}", validate_parameters=False)
def follow(
    name: MethodName,
    config: Config,
    bases: Bases,
    problems: PreparedProblems,
    transfer: Artifact | None,
    encoder: EncoderRef | None,
) -> list[Measured]:
    """The method before any finetuning, and after each iteration if it has them; at the end on other problems, if any.

    Args:
        config: the method's own, see `infra.config.benchmark.Benchmark.job`.
        transfer: held-out problems of another kind.
    """
    method = METHODS[name]
    society, learned, measured = Society.untuned(config.agents), None, []
    for iteration in range(1 + config.iterations if method.finetuned else 1):
        label = f"{method.title} · seed {config.seed} · iteration {iteration}"
        if iteration:
            if config.problems.renew:
                problems = renew(problems, config.problems, config.seed, iteration - 1)
            learned = learn(method, config, bases, society, problems.train, iteration, label)
            society = learned.society
        answering = config.model_copy(update={"rounds": method.rounds(config.rounds, training=False)})
        answered = assess(answering, bases, society, problems.evaluation, label)
        spread = None
        if method.finetuned:
            first = answered[0].responses
            spread = diversity(
                bases, society.generators, problems.evaluation, [first], 1, encoder, config.runner, label
            )
        measured.append(
            measure(name, config.seed, iteration, society, problems.evaluation, answered, learned, spread, False, label)
        )
    if transfer:
        label = f"{label} · other problems"
        answered = assess(answering, bases, society, transfer, label)
        measured.append(measure(name, config.seed, iteration, society, transfer, answered, None, None, True, label))
    return measured


def learn(
    method: Method, config: Config, bases: Bases, society: Society, train: Artifact, iteration: int, label: str
) -> Learned:
    """One iteration: sample, label, split, put together what one model learns from, finetune."""
    config = config.model_copy(update={"rounds": method.rounds(config.rounds, training=True)})
    if method.sees_labels:
        stream = Stream(seed=config.seed, purpose="train", iteration=iteration)
        (first,) = hold_debate(config, bases, society, train, stream, label)
        retried = rationalise(
            bases,
            society.generators,
            train,
            first.responses,
            config.sampling,
            stream,
            config.engine,
            config.runner,
            label,
        )
        y, consensus = [first, retried], references(train, label)
        D = split_among(config, society.agents, train, [retried.responses], consensus, iteration, label)
    else:
        y, consensus, D = collect(config, bases, society, train, iteration, label)

    examples, n = [D_n.examples for D_n in D], config.agents
    learners = society.agents
    if method.learns == "role":
        D = [pool(examples[:n], label)] * n + [pool(examples[n:], label)] * n
    elif method.learns == "all":
        learners, D = society.agents[:1], [pool(examples, label)]
    tuned = teach(config, bases, learners, D, iteration, label)
    return Learned(society=_after(method, iteration, tuned, n), sampled=y, consensus=consensus, tuned=tuned)


def _after(method: Method, iteration: int, tuned: Sequence[Finetuned], n: int) -> Society:
    if method.learns == "all":
        return Society.sharing(iteration, tuned[0].agent.adapter, n)
    agents = [result.agent for result in tuned]
    return Society(generation=iteration, generators=agents[:n], critics=agents[n:])


@flow(name="match", flow_run_name="{name} · seed {config.seed}", validate_parameters=False)
def match(name: MethodName, config: Config, bases: Bases, reference: list[Measured]) -> list[Measured]:
    """An untuned method with as many sampled tokens as `reference` took up to each of its iterations, or a little more.

    Groups of N agents answer the problems that `reference` did until the tokens are spent, those of its training
    included; all agents of all groups vote. What one iteration has the next one has too, and more.
    """
    method = METHODS[name]
    answering = config.model_copy(update={"rounds": method.rounds(config.rounds, training=False)})
    measured = []
    for transfer in (False, True):
        own = [each for each in reference if each.outcome.transfer == transfer and each.outcome.iteration]
        used: list[list[Responses]] = []
        for each in own:
            iteration = each.outcome.iteration
            label = f"{method.title} · seed {config.seed} · iteration {iteration}{' · other problems' * transfer}"
            while _tokens(used) < _spent(reference, iteration) + each.outcome.answering.sampled_tokens:
                group = Society.untuned(config.agents, first=len(used) * config.agents)
                used.append(assess(answering, bases, group, each.problems, f"{label} · {len(used) + 1}"))
            answered = [responses for group in used for responses in group]
            society = Society.untuned(config.agents * len(used))
            measured.append(
                measure(name, config.seed, iteration, society, each.problems, answered, None, None, transfer, label)
            )
    return measured


def _spent(reference: Sequence[Measured], iteration: int) -> int:
    """Tokens sampled for training up to an iteration."""
    return sum(each.outcome.training.sampled_tokens for each in reference if each.outcome.iteration <= iteration)


def _tokens(groups: Sequence[Sequence[Responses]]) -> int:
    return sum(responses.sampled_tokens for group in groups for responses in group)
