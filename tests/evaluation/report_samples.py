"""A benchmark's report with invented numbers, for tests of its page. This command writes the page to look at:

python -m tests.evaluation.report_samples FILE.html
"""

import random
import sys
from pathlib import Path

from evaluation.benchmark.debates import KINDS, Debate, ShownTurn, Voted
from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.benchmark.results import Changes, Cost, Outcome, Scored, summarise
from evaluation.measures.diversity import Diversity
from evaluation.reporting.page import Making, Report, render
from evaluation.scores import AgentScore, RoundScore
from evaluation.statistics.paired import Estimate

LEVEL = {
    "base": 58, "majority": 71, "debate": 75, "majority-matched": 88, "debate-matched": 90, "star": 92,
    "majority-ft": 90, "single-ft": 91, "single-ft-debate": 92, "multiagent-ft": 93, "without-summary": 92,
    "without-critics": 91, "five-agents": 95, "pooled": 92, "ring": 92, "sparse": 92, "personas": 90, "early-stop": 94,
    "confidence-vote": 93, "json-messages": 85, "mixed-bases": 94,
}  # fmt: skip
TEXT = "First the products.\n17*23=17*20+17*3=340+51=391.\n12*9=108.\n8+391=399. 399+5=404. 404-108=296.\n\\boxed{296}"


def scored(method: MethodName, iteration: int, seed: int, problems: int = 300) -> Scored:
    rng = random.Random(f"{method} {iteration} {seed}")
    rises = (
        1.1 * iteration if method == "multiagent-ft" else -0.4 * iteration if method == "single-ft" else 0.5 * iteration
    )
    level = (LEVEL[method] if iteration or not METHODS[method].finetuned else 74) + (rises if iteration else 0)
    right = {f"{seed}-{place}": float(rng.random() < level / 100) for place in range(problems)}
    drift = 0.02 * iteration * (1 if METHODS[method].learns == "own" else -1)
    spread = Diversity(
        agents=3,
        round=1,
        nll=Estimate(value=0.5 + drift + rng.gauss(0, 0.01), standard_error=0.01),
        own_nll=None,
        kl=Estimate(value=max(0.0, 0.1 + drift), standard_error=0.01),
        dissimilarity=Estimate(value=0.2 + drift, standard_error=0.01),
        consensus=Estimate(value=0.7 + 0.04 * iteration, standard_error=0.02),
        styles=None,
    )
    shares = [level / 100 + rng.gauss(0, 0.02) for _ in range(6)]
    rounds = [
        RoundScore(
            round=number,
            agents=[AgentScore(role=role, index=i, accuracy=min(1.0, shares[i + offset])) for i in range(3)],
            mean_accuracy=shares[0],
            mean_standard_error=0.02,
            majority_accuracy=min(1.0, level / 100 + 0.02),
            majority_standard_error=0.02,
        )
        for number, role, offset in ((1, "generator", 0), (2, "critic", 3))
    ]
    sampled = (
        (150_000 if METHODS[method].answers == "vote" else 300_000) if iteration and METHODS[method].finetuned else 0
    )
    outcome = Outcome(
        method=method,
        iteration=iteration,
        seed=seed,
        problems=problems,
        accuracy=sum(right.values()) / problems,
        alone=level / 100 - 0.08,
        pseudo_label_accuracy=0.9 if METHODS[method].finetuned and iteration else None,
        training=Cost(sampled_tokens=sampled, trained_tokens=3 * sampled, seconds=sampled / 5000),
        answering=Cost(sampled_tokens=60_000 * (1 + METHODS[method].matched * 6 * iteration), seconds=30.0),
        diversity=spread if METHODS[method].finetuned else None,
        rounds=rounds,
        changes=Changes(wrong=40, corrected=10 + iteration, right=200, spoiled=20 - iteration),
    )
    return Scored(outcome, right, dict.fromkeys(right, outcome.alone))


def debate(text: str = TEXT, agents: int = 3, **fields: object) -> Debate:
    turns = [
        ShownTurn(
            agent=f"{'generator' if round_ == 1 else 'critic'} {index}",
            round=round_,
            read="Agent 1 has 296, agent 2 has 286." if round_ == 2 else None,
            text=text,
            answer="296" if index else None,
            right=bool(index),
        )
        for round_ in (1, 2)
        for index in range(agents)
    ]
    votes = [Voted(round=i, answer="296", votes=2, right=i == 2) for i in (1, 2)]
    own = {
        "kind": "corrected",
        "method": "multiagent-ft",
        "iteration": 5,
        "seed": 1,
        "question": "What is the result of 8+17*23+5-12*9?",
        "reference": "296",
        "turns": turns,
        "left_out": 0,
        "votes": votes,
    }
    return Debate.model_validate(own | fields)


def sample(
    iterations: int = 5,
    seeds: int = 3,
    names: tuple[MethodName, ...] = METHODS.names(),
    transfer: bool = True,
    **making: object,
) -> Report:
    """A report of a benchmark with these methods."""
    outcomes = []
    for name in names:
        steps = range(1 if METHODS[name].matched else 0, 1 + iterations)
        for i in steps if METHODS[name].finetuned or METHODS[name].matched else [0]:
            outcomes += [scored(name, i, seed) for seed in range(1, 1 + seeds)]
    own = {
        "society": "arith",
        "base": "embedded",
        "base_sha256": "0" * 64,
        "problems": "arithmetic",
        "transfer": "arithmetic with values up to 40",
        "begun": "2026-11-23 18:02",
        "ended": "2026-11-23 20:44",
        "command": "maft benchmark \\\n  --set 'seeds=[1, 2, 3]'",
        "config": '{"society": "arith"}',
        "versions": {"Python": "3.11.9"},
        "run_id": "0" * 32,
    }
    return Report(
        rows=summarise(outcomes),
        scored=outcomes,
        debates=[debate(kind=kind) for kind in KINDS],
        transfer=summarise([each for each in outcomes if each.outcome.iteration == iterations]) if transfer else [],
        making=Making.model_validate(own | making),
    )


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render(sample()), "utf-8")
