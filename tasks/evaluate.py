"""Evaluate: what one generation scored on held-out problems, beside what making it took."""

from agents.frames import read_problems, read_responses
from agents.store import Artifact, Store
from evaluation.measures.debates import score_debate
from evaluation.scores import GenerationScores
from infra.home.cache import step
from infra.home.home import current_home
from tasks.finetune import Finetuned
from tasks.sample import Responses, fallback_share
from tasks.vote import VOTING, Consensus


@step(*VOTING, name="{label} · score")
def evaluate(
    generation: int,
    problems: Artifact,
    debated: list[Responses],
    seed: int,
    label: str,
    sampled: list[Responses] | None = None,
    consensus: Consensus | None = None,
    tuned: list[Finetuned] | None = None,
) -> GenerationScores:
    """Accuracy of every agent, round and vote over the held-out debate `debated`.

    Args:
        sampled: the debate over the training problems, none for generation 0, as are the next two.
        consensus: its pseudo-labels.
        tuned: what finetuning on them did to each agent.
    """
    store = Store(current_home().artifacts)
    answered = read_responses(store, [response.responses for response in debated])
    scores = score_debate(read_problems(store, problems), answered, seed)
    sampled, tuned = sampled or [], tuned or []
    return GenerationScores(
        **scores.model_dump(),
        generation=generation,
        pseudo_label_accuracy=consensus.kept_accuracy if consensus else None,
        dropped_label_accuracy=consensus.dropped_accuracy if consensus else None,
        kept_labels=consensus.kept if consensus else 0,
        dropped_labels=consensus.dropped if consensus else 0,
        dataset_sizes={result.agent.name: result.examples for result in tuned},
        sampled_tokens=sum(response.sampled_tokens for response in [*sampled, *debated]),
        trained_tokens=sum(result.trained_tokens for result in tuned),
        fallback_share=fallback_share([*sampled, *debated]),
        unchanged=[result.agent.name for result in tuned if result.adapter is None],
        seconds={
            "generate and debate": sum(response.seconds for response in sampled),
            "finetune": sum(result.seconds for result in tuned),
            "evaluate": sum(response.seconds for response in debated),
        },
    )
