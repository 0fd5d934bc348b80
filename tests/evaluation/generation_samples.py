"""Samples of generations for the tests of the table, the pictures and the markdown."""

from evaluation.record import Role
from evaluation.scores import AgentScore, GenerationScores, RoundScore


def scored(generation: int, rounds: int, agents: int = 3, accuracy: float = 0.5) -> GenerationScores:
    def score(number: int) -> RoundScore:
        role: Role = "generator" if number == 1 else "critic"
        return RoundScore(
            round=number,
            agents=[AgentScore(role=role, index=i, accuracy=accuracy) for i in range(agents)],
            mean_accuracy=accuracy + 0.01 * number,
            mean_standard_error=0.019,
            majority_accuracy=accuracy + 0.1 + 0.01 * number,
            majority_standard_error=0.021,
        )

    scores = [score(number) for number in range(1, rounds + 1)]
    return GenerationScores(
        problems=400,
        rounds=scores,
        accuracy=scores[-1].majority_accuracy,
        standard_error=0.021,
        consensus=0.8125,
        generation=generation,
        pseudo_label_accuracy=0.755 if generation else None,
        sampled_tokens=1,
        trained_tokens=1,
    )
