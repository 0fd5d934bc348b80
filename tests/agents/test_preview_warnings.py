"""What a preview warns of."""

from agents.engines.openai import OpenAISettings
from agents.engines.transformers import TransformersSettings
from agents.preview.forecast import forecast
from agents.preview.measure import Taken
from agents.preview.records import Conversation, Shares, Turn
from agents.preview.warnings import Free, notes_of, warnings_of
from tests.agents.test_forecast import PLAN, SAMPLE

ROOM = Free(memory_bytes=10**12, disk_bytes=10**12)


def taken(examples: dict[str, int], *, cut: float = 0.0, unanswered: float = 0.0, critics: bool = True) -> Taken:
    said = {"read": None, "text": "4", "answer": "4", "prompt": "?", "finished": True, "tokens": 1, "right": True}
    turns = [Turn(round=1, agent="generator-0", **said)]
    turns += [Turn(round=2, agent="critic-0", **said)] if critics else []
    fields = {"question": "2+2?", "answer": "4", "votes": {"4": 1}, "consensus": 1.0, "reference": "4"}
    shares = {"unanswered_share": unanswered, "cut_share": cut, "right_share": 1.0, "accuracy": 1.0}
    return Taken(
        sample=SAMPLE.model_copy(update={"problems": 20, "examples": examples}),
        shares=Shares(**shares, consensus=1.0, kept_share=1.0, tokens_per_response=1.0),
        conversations=[Conversation(**fields, right=True, kept=True, transcript=turns)],
        tried=[],
    )


def warned(sample: Taken, free: Free = ROOM, *, training: int = 100, agents: int = 20) -> list[str]:
    """The warnings about 20 problems of a job, which are a batch of 20 agents or more."""
    plan = PLAN.model_copy(update={"training": training, "agents": agents})
    expected = forecast(plan, sample.sample, library_seconds=2.0)
    return warnings_of(sample, expected, plan, max_new_tokens=64, free=free)


def test_nothing_is_wrong() -> None:
    assert warned(taken({"generator-0": 5, "critic-0": 4})) == [], "25 and 20 examples of 100 problems"


def test_cut_and_missing_answers() -> None:
    cut, unanswered = warned(taken({"generator-0": 5, "critic-0": 5}, cut=0.5, unanswered=0.4))
    assert cut.startswith("50 % of the responses in this preview (20 problems) were cut")
    assert "sampling.max_new_tokens=64" in cut and "such as 128" in cut
    assert "40 % of the responses in this preview" in unanswered
    assert "Read some responses of this preview." in unanswered and "when fewer are cut" in unanswered
    (unanswered,) = warned(taken({"generator-0": 5, "critic-0": 5}, unanswered=0.4))
    assert "prompts" in unanswered and "answers.kind" in unanswered


def test_few_examples_in_the_whole_job() -> None:
    (few,) = warned(taken({"generator-0": 19, "critic-0": 2}), training=30)
    assert "critic-0 learns from about 3 examples" in few and "generator-0" not in few and "problems.train_size" in few


def test_few_examples_by_chance_are_no_warning() -> None:
    """The upper limits of a Poisson mean (97.5 %) after 0, 1 and 2 events are 3.69, 5.57 and 7.22."""
    for critic, largest in ((0, 128), (1, 88), (2, 69)):  # 3.69 * 5.4, 1 + 5.57 * 3.4, 2 + 7.22 * 2.45
        agents = {"generator-0": 19, "critic-0": critic}
        assert len(warned(taken(agents), training=largest)) == 1
        assert warned(taken(agents), training=largest + 1) == []
    (few,) = warned(taken({"generator-0": 20, "critic-0": 19}), training=20)
    assert "critic-0 learns from about 19" in few and "generator-0" not in few, "all were seen"


def test_a_sample_below_a_batch() -> None:
    (small,) = warned(taken({"generator-0": 5, "critic-0": 5}), training=300, agents=3)
    assert small.startswith("20 problems are less than a batch (66 problems)")
    assert "a factor of two or more; leave --problems out" in small


def test_more_problems_than_the_job_has() -> None:
    notes = notes_of(TransformersSettings(), registry=True, asked=500, taken=300)
    assert notes[1:] == ["500 problems were asked for; all 300 training problems of the job were used."]
    assert len(notes_of(TransformersSettings(), registry=True, asked=300, taken=300)) == 1


def test_critics_that_do_not_speak_are_not_missed() -> None:
    assert warned(taken({"generator-0": 5, "critic-0": 0}, critics=False)) == []


def test_no_examples_at_all() -> None:
    (nothing,) = warned(taken({"generator-0": 0, "critic-0": 0}))
    assert "no agent would learn from these 20 problems" in nothing and "finetune.min_votes" in nothing


def test_too_little_memory_and_disk() -> None:
    sample = taken({"generator-0": 5, "critic-0": 5})
    memory, disk = warned(sample, Free(memory_bytes=1_000_000_000, disk_bytes=20_000_000))
    assert memory.startswith("the job is expected to take 1.4 GB of memory, but 1.0 GB are free")
    assert disk.startswith("the job is expected to write 0.09 GB, but 0.02 GB are free")


def test_the_notes_say_what_another_engine_hides() -> None:
    notes = notes_of(OpenAISettings(url="http://127.0.0.1:9/v1"), registry=True, asked=None, taken=10)
    assert any("engine.name is openai" in note and "messages" in note for note in notes)
    assert len(notes_of(TransformersSettings(), registry=False, asked=None, taken=10)) == 2
