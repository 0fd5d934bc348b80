"""Step 6 of Algorithm 1: the scores of a generation on held-out problems, and what it took to make the generation."""

from agents.frames import read_problems, read_responses
from agents.records import Learned, Transcript, fallback_share
from agents.run import Run
from agents.store import Store
from evaluation.measures.debates import response_shares, score_debate
from evaluation.scores import GenerationScores, ResponseShares


def evaluate(run: Run, transcript: Transcript, *, learned: Learned | None = None) -> GenerationScores:
    """The accuracy of every agent, round and vote, with the tokens, seconds and labels of the generation.

    Args:
        run: the store.
        transcript: the generation's debate over the held-out problems; its stream has the number of the generation.
        learned: how the generation was made; None if it is only measured.
    """
    responses = read_responses(run.store, transcript.responses)
    problems = read_problems(run.store, transcript.problems)
    scores = score_debate(problems, responses, transcript.stream.seed, grader=run.answers)
    sampled, tuned = (learned.sampled, learned.tuned) if learned else ((), [])
    datasets = {each.agent.name: own for each, own in zip(tuned, learned.datasets if learned else [], strict=True)}
    consensus = learned.consensus if learned else None
    debated = transcript.rounds
    return GenerationScores(
        **scores.model_dump(),
        generation=transcript.stream.iteration,
        pseudo_label_accuracy=consensus.kept_accuracy if consensus else None,
        dropped_label_accuracy=consensus.dropped_accuracy if consensus else None,
        kept_labels=consensus.kept if consensus else 0,
        dropped_labels=consensus.dropped if consensus else 0,
        dataset_sizes={result.agent.name: result.examples for result in tuned},
        agreeing={name: dataset.agreeing for name, dataset in datasets.items()},
        left_out={name: dataset.cut for name, dataset in datasets.items()},
        sampled_tokens=sum(response.sampled_tokens for response in [*sampled, *debated]),
        trained_tokens=sum(result.trained_tokens for result in tuned),
        fallback_share=fallback_share([*sampled, *debated]),
        unchanged=[result.agent.name for result in tuned if result.adapter is None],
        training_responses=training_shares(run.store, learned),
        seconds={
            "generate and debate": sum(response.seconds for response in sampled),
            "finetune": sum(result.seconds for result in tuned),
            "evaluate": sum(response.seconds for response in debated),
        },
    )


def training_shares(store: Store, learned: Learned | None) -> ResponseShares:
    """The response shares of the debate that was learned from; empty if nothing was learned.

    If a response was replaced by a retry (`agents.benchmark.star`), only the retry counts.
    """
    if learned is None:
        return ResponseShares()
    sampled = read_responses(store, [each.responses for each in learned.sampled])
    return response_shares(sampled.drop_duplicates(["problem_id", "role", "index", "round"], keep="last"))
