"""A sample of a job: what is told of its debates is what the job itself would sample and do."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from agents import steps
from agents.algorithm import hold_debate
from agents.engines.base_model import identify_bases
from agents.engines.transformers import TransformersSettings
from agents.engines.transformers.room import LOGIT_BYTES
from agents.frames import problems_frame, read_responses
from agents.preview import memory
from agents.preview.measure import Taken, take_sample
from agents.preview.watch import Steps
from agents.records import Stream
from agents.run import Run
from agents.society import Society
from agents.store import Store
from evaluation.problems.problem import Problem
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_problems
from infra.config.job import Config

COUNT = 6


@pytest.fixture(scope="module")
def config(brief_folder: Path, brief_problems: Path) -> Config:
    problems = Problems(train=str(brief_problems), train_size=20, evaluation_size=20)
    return Config.model_validate(
        {"base_model": str(brief_folder), "problems": problems, "agents": 2, "sampling": {"max_new_tokens": 6}}
    )


@pytest.fixture(scope="module")
def asked(config: Config) -> list[Problem]:
    return load_problems(config.problems, config.seed).train[:COUNT]


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    bases = identify_bases(config.bases, False)
    return Run(steps=steps, bases=bases, engine=TransformersSettings(), store=Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def taken(run: Run, config: Config, asked: list[Problem]) -> Taken:
    return take_sample(run, Society.untuned(2), problems=asked, settings=config.settings, iteration=1)


def test_the_responses_are_those_of_the_job(run: Run, config: Config, asked: list[Problem], taken: Taken) -> None:
    stream = Stream(seed=config.seed, purpose="train", iteration=1)
    x = run.store.put_frame(problems_frame(asked))
    y = hold_debate(run, Society.untuned(2), x=x, settings=config.settings, stream=stream)
    responses = read_responses(run.store, y.responses)
    said = [turn for conversation in taken.conversations for turn in conversation.transcript]
    assert sorted(turn.text for turn in said) == sorted(responses["text"])
    assert taken.sample.sampled_tokens == responses["sampled_tokens"].sum(), "summaries included"


def test_prompts_are_the_text_that_the_model_reads(brief_folder: Path, taken: Taken) -> None:
    tokenizer = AutoTokenizer.from_pretrained(brief_folder)
    conversation = taken.conversations[0]
    first, last = conversation.transcript[0], conversation.transcript[-1]
    question = f"Solve the problem step by step and end with the answer in \\boxed{{}}.\n\n{conversation.question}"
    asked = [{"role": "user", "content": question}]
    assert first.prompt == tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
    assert last.agent == "critic-1" and last.read and last.read in last.prompt
    assert conversation.transcript[1].text in last.prompt, "a critic goes on from its generator's response"


def test_cut_responses_have_no_answer(taken: Taken) -> None:
    """A response of the model has eight tokens, of which six are allowed: the answer is cut off."""
    turns = [turn for conversation in taken.conversations for turn in conversation.transcript]
    assert {(turn.finished, turn.tokens, turn.answer) for turn in turns} == {(False, 6, None)}
    assert (taken.shares.cut_share, taken.shares.unanswered_share, taken.shares.kept_share) == (1.0, 1.0, 0.0)
    assert taken.sample.training_speed is None and taken.sample.adapter_bytes == 0


def test_whole_responses_are_learned_from(run: Run, config: Config, asked: list[Problem]) -> None:
    whole = config.model_copy(update={"sampling": config.sampling.model_copy(update={"max_new_tokens": 20})})
    found = take_sample(run, Society.untuned(2), problems=asked, settings=whole.settings, iteration=1)
    sample = found.sample
    assert found.shares.unanswered_share == 0.0 and found.shares.tokens_per_response == 8.0
    assert sample.problems == COUNT and sample.rows == 2 * COUNT
    assert sum(sample.examples.values()) > 0 and sample.trained_tokens > 0 and sample.training_speed
    assert sample.adapter_bytes > 0 and sample.row_bytes > 0
    assert 0 < sample.sampling_peak_bytes <= sample.tuned_peak_bytes <= memory.process_peak_bytes()
    kept = [each for each in found.conversations if each.kept]
    assert len(kept) == round(found.shares.kept_share * COUNT)
    assert all(each.votes[each.answer or ""] == 2 for each in kept), "both critics gave it"


@pytest.mark.parametrize(
    "section",
    [
        {"debate": {"stop_on_consensus": True, "rounds": 3}},
        {"debate": {"vote": "confidence", "messages": "json"}},
        {"debate": {"summarize": False, "personas": ["Count."]}},
        {"debate": {"rounds": 1}},
        {"finetune": {"method": "dpo"}},
    ],
    ids=lambda section: str(next(iter(section.values()))),
)
def test_other_debates_and_methods(run: Run, config: Config, asked: list[Problem], section: dict) -> None:
    fields = config.model_dump() | {"sampling": {"max_new_tokens": 20}} | section
    settings = Config.model_validate(fields).settings
    found = take_sample(run, Society.untuned(2), problems=asked, settings=settings, iteration=1)
    last = [each.transcript[-1].round for each in found.conversations]
    spoken = sum(len(each.transcript) for each in found.conversations)
    assert min(last) >= 1 and max(last) <= settings.debate.rounds
    assert spoken == 2 * sum(last), "a response that is carried into later rounds is told once"
    assert found.sample.training_speed is None or found.sample.training_speed > 0.0


def test_agents_of_different_bases_read_different_prompts(run: Run, config: Config, asked: list[Problem]) -> None:
    mixed = replace(run, bases=identify_bases([config.base_model, "embedded"], False))
    found = take_sample(mixed, Society.untuned(2), problems=asked[:2], settings=config.settings, iteration=1)
    assert {turn.agent for each in found.conversations for turn in each.transcript} == {
        "generator-0",
        "generator-1",
        "critic-0",
        "critic-1",
    }


def test_the_memory_of_a_row_is_that_of_its_cache_and_logits(run: Run) -> None:
    """One layer, two key heads, 16 numbers of 4 bytes, keys and values: 256 bytes a token; a vocabulary of 512."""
    assert memory.prompt_bytes(run, 100) == 100 * 256 + 512 * LOGIT_BYTES


def test_a_training_is_timed_between_its_first_and_its_last_report(run: Run) -> None:
    steps_ = Steps()
    with steps_.watching(run) as watched, watched.progress("finetune") as tell:
        for done in (2, 4, 8):
            tell(done, 8)
    assert steps_.steady_share == 6 / 8 and steps_.steady_seconds > 0.0
