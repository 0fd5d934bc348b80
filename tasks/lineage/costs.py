"""What a job with a service costs: metrics of each generation and agent, and the sum in words."""

from collections.abc import Collection

from prefect.logging import get_run_logger

from agents.frames import read_responses
from agents.hosted.spending import Prices, Tokens, priced
from agents.records import Generation
from agents.run import Run
from agents.store import Store
from evaluation.record import Record
from infra.lineage.client import client
from infra.lineage.records import JobRun
from infra.lineage.runs import open_generation


class Spent(Record):
    """What a service was paid for a job, repeated requests included."""

    tokens: Tokens
    cost: float | None
    """In the currency of the prices; None if no prices are known."""
    in_words: str


def spent_on(run: Run) -> Spent | None:
    """What a job's service was paid so far; None if it has none."""
    if run.journal is None:
        return None
    tokens, prices = run.journal.spent(), priced(run.hosted.engine if run.hosted else run.engine)
    words = f"{tokens.prompt:,} tokens of prompts, {tokens.sampled:,} sampled, {tokens.trained:,} trained"
    words += f", {tokens.read:,} read for likelihoods" if tokens.read else ""
    cost = prices.of(tokens) if prices else None
    shown = f"{prices.shown(cost)}: {words}" if prices and cost is not None else words
    return Spent(tokens=tokens, cost=cost, in_words=shown)


def tell_spending(run: Run) -> None:
    """Log what was paid so far."""
    if spent := spent_on(run):
        get_run_logger().info("the service was paid for %s", spent.in_words)


def log_costs(
    job: JobRun, new: Generation, *, store: Store, prices: Prices, hosted: Collection[int] | None = None
) -> None:
    """Log what a generation cost, in all and for each agent, as metrics of the job's and the generation's runs.

    Args:
        job: the job.
        new: the generation.
        store: has its responses.
        prices: what the service takes.
        hosted: the indices of the agents at the service; None if all are.
    """
    from mlflow.entities import Metric

    paid = {agent.name for agent in new.society.agents if hosted is None or agent.index in hosted}
    costs = {name: prices.of(tokens) for name, tokens in tokens_of(new, store).items() if name in paid}
    run_id, generation = open_generation(job, new.scores.generation), new.scores.generation
    at = client().get_run(run_id).info.start_time
    named = {f"cost/{prices.currency}": sum(costs.values())}
    named |= {f"cost/{prices.currency} {name}": cost for name, cost in costs.items()}
    metrics = [Metric(name, cost, at, generation) for name, cost in named.items()]
    for each in (job.run_id, run_id):
        client().log_batch(each, metrics=metrics)


def tokens_of(new: Generation, store: Store) -> dict[str, Tokens]:
    """The tokens of each agent, by its name: of its responses in training and on held-out problems, and of its own
    training."""
    rounds = [each.responses for each in (*new.learned.sampled, *new.debated.rounds)]
    said = read_responses(store, rounds)
    said = said[~said["carried"]]
    sums = said.groupby(["role", "index"], as_index=False)[["prompt_tokens", "sampled_tokens"]].sum()
    found = {
        f"{role}-{index}": Tokens(prompt=int(prompt), sampled=int(sampled))
        for role, index, prompt, sampled in sums.itertuples(index=False)
    }
    for tuned in new.learned.tuned:
        name = tuned.agent.name
        found[name] = found.get(name, Tokens()) + Tokens(trained=tuned.trained_tokens)
    return found
