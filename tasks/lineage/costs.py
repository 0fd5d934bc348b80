"""What a job with a service costs: metrics of each generation and agent, and the sum in words."""

from collections.abc import Collection, Sequence

from prefect.logging import get_run_logger

from agents.frames import read_responses
from agents.hosted.spending import Prices, Tokens, priced
from agents.records import Finetuned, Responses
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


def log_costs(  # noqa: PLR0913, what it cost and where it is logged
    job: JobRun,
    generation: int,
    debates: Sequence[Responses],
    tuned: Sequence[Finetuned],
    *,
    store: Store,
    prices: Prices,
    hosted: Collection[int] | None = None,
) -> None:
    """Log what a generation cost, in all and for each agent, as metrics of the job's and the generation's runs.

    Args:
        job: the job.
        generation: its number.
        debates: the rounds that were held for it: to learn from, and to measure it.
        tuned: how its agents were trained; empty for one that a job only measured.
        store: has the responses.
        prices: what the service takes.
        hosted: the indices of the agents at the service; None if all are.
    """
    from mlflow.entities import Metric

    tokens = tokens_of(debates, tuned, store)
    if hosted is not None:
        tokens = {name: own for name, own in tokens.items() if int(name.rpartition("-")[2]) in hosted}
    costs = {name: prices.of(own) for name, own in tokens.items()}
    run_id = open_generation(job, generation)
    at = client().get_run(run_id).info.start_time
    named = {f"cost/{prices.currency}": sum(costs.values())}
    named |= {f"cost/{prices.currency} {name}": cost for name, cost in costs.items()}
    metrics = [Metric(name, cost, at, generation) for name, cost in named.items()]
    for each in (job.run_id, run_id):
        client().log_batch(each, metrics=metrics)


def tokens_of(debates: Sequence[Responses], tuned: Sequence[Finetuned], store: Store) -> dict[str, Tokens]:
    """The tokens of each agent, by its name: of its responses and of its own training."""
    said = read_responses(store, [each.responses for each in debates])
    said = said[~said["carried"]]
    sums = said.groupby(["role", "index"], as_index=False)[["prompt_tokens", "sampled_tokens"]].sum()
    found = {
        f"{role}-{index}": Tokens(prompt=int(prompt), sampled=int(sampled))
        for role, index, prompt, sampled in sums.itertuples(index=False)
    }
    for each in tuned:
        name = each.agent.name
        found[name] = found.get(name, Tokens()) + Tokens(trained=each.trained_tokens)
    return found
