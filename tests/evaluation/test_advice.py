"""Warnings about responses and datasets. Run: pytest tests/evaluation/test_advice.py"""

from typing import Any

import pytest

from evaluation.reporting.advice import FEW_EXAMPLES, benchmark_warnings, generation_warnings
from evaluation.scores import GenerationScores, ResponseShares
from tests.evaluation.generation_samples import scored
from tests.evaluation.report_samples import scored as scored_method


def generation(number: int, **fields: Any) -> GenerationScores:
    return scored(number, 2).model_copy(update=fields)


def test_nothing_is_said_of_good_generations_and_of_those_that_were_not_counted() -> None:
    sizes = {f"{role}-{i}": FEW_EXAMPLES for role in ("generator", "critic") for i in range(3)}
    good = generation(1, unanswered_share=1 / 3, cut_share=1 / 3, dataset_sizes=sizes)
    assert generation_warnings([scored(0, 2), good], 256) == []


def test_cut_responses_name_the_worst_generation_and_a_higher_limit() -> None:
    generations = [generation(0, cut_share=0.4), generation(1, cut_share=0.676), generation(2, cut_share=0.5)]
    (warning,) = generation_warnings(generations, 128)
    assert warning.startswith("68 % of the responses of generation 1 to held-out problems were cut at the limit ")
    assert "sampling.max_new_tokens=128 " in warning and warning.endswith("set a higher one, such as 256")


def test_the_advice_does_not_exceed_the_highest_limit_and_needs_no_known_limit() -> None:
    (highest,) = generation_warnings([generation(0, cut_share=0.9)], 20_000)
    assert highest.endswith("such as 32768")
    (unknown,) = generation_warnings([generation(0, cut_share=0.9)], None)
    assert "limit sampling.max_new_tokens (" in unknown and unknown.endswith("set a higher one")


def test_the_training_debate_counts_too() -> None:
    training = ResponseShares(unanswered_share=0.9, cut_share=0.1)
    (warning,) = generation_warnings([generation(3, unanswered_share=0.5, training_responses=training)], 256)
    assert warning.startswith("90 % of the responses that generation 3 learned from have no answer")
    assert "in prompts, or set answers.kind" in warning and "transcripts.json" in warning


def test_one_agent_is_named_if_the_whole_debate_is_good_enough() -> None:
    scores = generation(1, unanswered_share=0.2, cut_share=0.0)
    scores.rounds[1].agents[2] = scores.rounds[1].agents[2].model_copy(update={"unanswered_share": 0.95})
    (warning,) = generation_warnings([scores], 256)
    assert warning.startswith("95 % of the responses of critic-2 in round 2 of generation 1 to held-out problems have")


def test_generations_that_are_never_right_are_named() -> None:
    (warning,) = generation_warnings([scored(0, 2, accuracy=0.0), scored(1, 2), scored(2, 2, accuracy=0.0)], 256)
    assert warning.startswith("no agent of generations 0, 2 was right on any held-out problem")
    silent = scored(0, 2, accuracy=0.0).model_copy(update={"unanswered_share": 0.9})
    (unanswered,) = generation_warnings([silent], 256)
    assert "have no answer" in unanswered


def test_a_job_that_learned_nothing() -> None:
    none = {"dataset_sizes": {"generator-0": 0, "critic-0": 0}, "kept_labels": 0, "dropped_labels": 10}
    (warning,) = generation_warnings([generation(0), generation(1, **none), generation(2, **none)], 256)
    assert warning.startswith("generations 1, 2 learned nothing, since no agent had an example: 0 of 20 training")
    assert "finetune.min_votes" in warning and "problems.train_size" in warning


def test_agents_with_few_examples_are_named_with_their_numbers() -> None:
    sizes = {"generator-0": 80, "generator-1": FEW_EXAMPLES, "critic-0": 18, "critic-1": 14, "critic-2": 6}
    generations = [generation(1, dataset_sizes={"critic-0": 19}), generation(2, dataset_sizes=sizes)]
    (warning,) = generation_warnings(generations, 256)
    assert warning.startswith(
        "in generation 2, critic-0 learned from 18, critic-1 learned from 14, critic-2 learned from 6 examples "
        "(and agents of 1 other generation); fewer than 20 "
    )
    (alone,) = generation_warnings(generations[1:], 256)
    assert "other generation" not in alone


def test_an_agent_most_of_whose_agreeing_responses_were_cut_is_named() -> None:
    agree, cut = {"generator-0": 90, "critic-1": 12, "critic-2": 0}, {"generator-0": 30, "critic-1": 5, "critic-2": 0}
    few = generation(1, agreeing=agree, left_out={**cut, "critic-1": 4})
    assert generation_warnings([few], 256) == [], "a third"
    (warning,) = generation_warnings([few, generation(2, agreeing=agree, left_out=cut)], 256)
    assert warning.startswith("generation 2: 5 of the 12 responses of critic-1 that agree with the consensus were cut ")
    assert "sampling.max_new_tokens=256 " in warning and warning.endswith("not learned; set a higher one, such as 512")


@pytest.mark.parametrize(("transfer", "problems"), [(False, "held-out problems"), (True, "problems of another kind")])
def test_a_benchmark_names_method_iteration_and_seed(transfer: bool, problems: str) -> None:
    good = scored_method("base", 0, 1, problems=3).outcome
    bad = scored_method("multiagent-ft", 2, 7, problems=3).outcome
    bad = bad.model_copy(update={"unanswered_share": 0.7, "cut_share": 0.71, "transfer": transfer})
    cut, unanswered = benchmark_warnings([good, bad], 64)
    place = f"to {problems} (multiagent FT, iteration 2, seed 7)"
    assert cut.startswith(f"71 % of the responses {place} were cut") and "such as 128" in cut
    assert unanswered.startswith(f"70 % of the responses {place} have no answer")
    assert benchmark_warnings([good], 64) == []
