"""Jobs, adapters and scores that the tests of the lineage log."""

import hashlib
from pathlib import Path
from typing import Any, TypeVar

from agents.hosted.adapter import WEIGHTS
from agents.society import Agent
from evaluation.scores import AgentScore, GenerationScores, ResponseShares, RoundScore
from infra.lineage.agents import RegisteredAdapter, register_adapter
from infra.lineage.client import client
from infra.lineage.records import DatasetRef, JobRun
from infra.lineage.runs import open_job

T = TypeVar("T")
CONFIG = {"base_model": "embedded", "agents": 3, "problems": {"kind": "arithmetic", "seeds": [1, 2]}, "limit": None}
CRITIC = Agent(role="critic", index=0)
EVALUATION = DatasetRef(name="evaluation", sha256="e" * 64, rows=500, source="arithmetic", context="evaluation")


def weights_sha256(folder: Path) -> str:
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def a_job(society: str, job: str = "job-a", **tags: str) -> JobRun:
    return open_job(society, job, f"{society} seed 1", CONFIG, tags)


def registered(
    job: JobRun,
    generation: int,
    agent: Agent,
    folder: Path | None,
    parent: RegisteredAdapter | None = None,
    unchanged: bool = False,
) -> RegisteredAdapter:
    return register_adapter(
        job,
        generation,
        agent,
        adapter_folder=folder,
        adapter_sha256=weights_sha256(folder) if folder else None,
        parent_version=parent.version if parent else None,
        dataset_sha256=hashlib.sha256(f"{agent.name} {generation}".encode()).hexdigest(),
        base_model="embedded",
        examples=7,
        unchanged=unchanged,
    )


def some_scores(generation: int, n: int = 3, **changes: Any) -> GenerationScores:
    """Scores with long fractions, so that equal scores are equal in all bits."""

    def number(*place: int) -> float:
        return int.from_bytes(hashlib.sha256(repr((generation, *place)).encode()).digest()[:7]) / 2**56

    rounds = [
        RoundScore(
            round=m,
            agents=[
                AgentScore(
                    role="generator" if m == 1 else "critic",
                    index=i,
                    accuracy=number(m, i),
                    unanswered_share=number(m, i, 1),
                    cut_share=number(m, i, 2) if i else None,
                )
                for i in range(n)
            ],
            mean_accuracy=number(m, 100),
            mean_standard_error=number(m, 101),
            majority_accuracy=number(m, 102),
            majority_standard_error=number(m, 103),
            consensus=number(m, 104),
        )
        for m in (1, 2, 3)
    ]
    scores = GenerationScores(
        problems=500,
        rounds=rounds,
        accuracy=number(0),
        standard_error=1 / 3,
        consensus=0.1 + 0.2,
        unanswered_share=number(2),
        cut_share=1 / 7,
        generation=generation,
        pseudo_label_accuracy=number(1) if generation else None,
        kept_labels=412 * generation,
        dataset_sizes={"generator-0": 11, "critic-2": 0} if generation else {},
        agreeing={"generator-0": 12, "critic-2": 3} if generation else {},
        left_out={"generator-0": 1, "critic-2": 3} if generation else {},
        sampled_tokens=123_456_789,
        trained_tokens=2**40 + 1,
        unchanged=["critic-2", "generator-1"] if generation else [],
        training_responses=ResponseShares(unanswered_share=number(3), cut_share=number(4) if generation > 1 else None),
        seconds={"generate": 1.1, "fine tune/critic": 1e-9, "evaluate": 3.0},
    )
    return scores.model_copy(update=changes)


def there(value: T | None) -> T:
    assert value is not None
    return value


def points(run_id: str, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client().get_metric_history(run_id, key)]
