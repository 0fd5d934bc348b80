"""Algorithm 1 of multiagent finetuning (arXiv 2501.05707), one iteration, in the paper's names.

generate   y_{1,n} = A^G_n(x)
debate     y_{m,n} = A^C_n(x, y_{1..m-1,n}, summary of y_{m-1,-n})     for m = 2..M
vote       y^ = majority of y_{M,1..N}
split      D^G_n, D^C_n: each agent's own words that agree with y^
finetune   A^G_n on D^G_n, A^C_n on D^C_n
evaluate   the same debate on held-out problems
"""

from prefect import flow

from agents.debate.generate import Stream
from agents.engines.base_model import Bases
from agents.society import Agent, Society
from agents.store import Artifact
from infra.config.job import Config
from tasks.confidence import confidence
from tasks.evaluate import evaluate
from tasks.finetune import Finetuned, finetune
from tasks.prepare import PreparedProblems
from tasks.register import Generation
from tasks.sample import Responses, debate, generate
from tasks.split import Dataset, split
from tasks.vote import Consensus, vote


@flow(name="iterate", flow_run_name="{config.society} · generation {iteration}", validate_parameters=False)
def iterate(config: Config, bases: Bases, society: Society, problems: PreparedProblems, iteration: int) -> Generation:
    """One finetuning iteration: generation `iteration - 1` of the society makes generation `iteration`."""
    label = f"iteration {iteration}"
    y, consensus, D = collect(config, bases, society, problems.train, iteration, label)
    tuned = teach(config, bases, society.agents, D, iteration, label)
    society = Society(
        generation=iteration,
        generators=[result.agent for result in tuned[: config.agents]],
        critics=[result.agent for result in tuned[config.agents :]],
    )
    held_out = assess(config, bases, society, problems.evaluation)
    scores = evaluate(iteration, problems.evaluation, held_out, config.seed, label, y, consensus, tuned)
    return Generation(society=society, tuned=tuned, datasets=D, debated=held_out, scores=scores)


def collect(
    config: Config, bases: Bases, society: Society, train: Artifact, iteration: int, label: str
) -> tuple[list[Responses], Consensus, list[Dataset]]:
    """From the training problems to one dataset per agent: generate, debate, vote, split."""
    y = hold_debate(
        config, bases, society, train, Stream(seed=config.seed, purpose="train", iteration=iteration), label
    )
    responses = [response.responses for response in y]
    consensus = vote(train, responses[-1], config.rounds, config.finetune.min_votes, config.seed, label)
    return y, consensus, split_among(config, society.agents, train, responses, consensus, iteration, label)


def split_among(
    config: Config,
    agents: list[Agent],
    train: Artifact,
    responses: list[Artifact],
    consensus: Consensus,
    iteration: int,
    label: str,
) -> list[Dataset]:
    """D_n of each agent."""
    return [
        split(
            agent,
            train,
            responses,
            consensus.votes,
            config.finetune.critic_mix,
            config.seed,
            iteration,
            config.finetune.method,
            label,
        )
        for agent in agents
    ]


def teach(
    config: Config, bases: Bases, agents: list[Agent], D: list[Dataset], iteration: int, label: str
) -> list[Finetuned]:
    """Each agent finetuned on its own D_n."""
    return finetune(
        bases,
        agents,
        [D_n.examples for D_n in D],
        config.finetune,
        config.seed,
        iteration,
        config.runner,
        label,
    )


def assess(config: Config, bases: Bases, society: Society, held_out: Artifact, label: str = "") -> list[Responses]:
    """The debate of one generation over the held-out problems, round by round."""
    stream = Stream(seed=config.seed, purpose="evaluate", iteration=society.generation)
    return hold_debate(config, bases, society, held_out, stream, label or f"evaluate generation {society.generation}")


def hold_debate(
    config: Config, bases: Bases, society: Society, problems: Artifact, stream: Stream, label: str
) -> list[Responses]:
    """Rounds 1..M of a debate, in each the responses of all N agents; round m reads round m-1 only.

    Those of the last round have the weights of the vote.
    """
    y = [
        generate(
            bases,
            society.generators,
            problems,
            config.personas,
            config.sampling,
            stream,
            config.engine,
            config.runner,
            label,
        )
    ]
    for m in range(2, config.rounds + 1):
        y.append(
            debate(
                bases,
                society.critics,
                problems,
                [response.responses for response in y],
                m,
                config.rules,
                config.sampling,
                stream,
                config.engine,
                config.runner,
                label,
            )
        )
    if config.vote == "confidence":
        y[-1] = confidence(bases, society, problems, y, config.runner, label)
    return y
