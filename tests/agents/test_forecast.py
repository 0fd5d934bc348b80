"""The forecast of a job against numbers that are worked by hand."""

from agents.preview.forecast import (
    COPIES,
    GENERATION_BYTES,
    HOME_BYTES,
    JOB_BYTES,
    REGISTER,
    START,
    Plan,
    forecast,
)
from agents.preview.records import Forecast, Sample

SAMPLE = Sample(
    problems=10,
    debate_seconds=18.0,
    grading_seconds=2.0,
    sampled_tokens=5_000,
    prompt_tokens=20_000,
    sampling_speed=300.0,
    reading_speed=4_000.0,
    examples={"generator-0": 6, "critic-0": 1},
    trained_tokens=1_200,
    training_start_seconds=1.5,
    training_speed=400.0,
    rows=30,
    row_bytes=1_000_000,
    sampling_peak_bytes=900_000_000,
    tuned_peak_bytes=1_000_000_000,
    process_peak_bytes=1_100_000_000,
    adapter_bytes=7_000_000,
    frame_bytes=50_000,
    load_seconds=3.0,
)
PLAN = Plan(
    iterations=2,
    training=100,
    held_out=50,
    evaluations=3,
    agents=3,
    epochs=4,
    service_epochs=4,
    batch_rows=200,
    base_bytes=11_000_000,
    on_gpu=False,
)


def expected(plan: Plan = PLAN, sample: Sample = SAMPLE) -> Forecast:
    return forecast(plan, sample, library_seconds=2.0)


def test_tokens_follow_the_number_of_debates() -> None:
    found = expected()
    assert found.debates == 2 * 100 + 3 * 50
    assert (found.sampled_tokens, found.prompt_tokens) == (500 * 350, 2000 * 350)
    assert found.trained_tokens == 120 * 200 * 4
    assert found.examples == {"generator-0": 60, "critic-0": 10}


def test_seconds_by_stage() -> None:
    found = expected()
    assert found.seconds == {
        "start": START * 2.0 + 3.0,
        "generate and debate": 2.0 * 200,
        "finetune": 2 * 1.5 + 96_000 / 400,
        "evaluate": 2.0 * 150,
        "register": REGISTER * 2.0 * 3,
    }
    assert found.total_seconds == sum(found.seconds.values())


def test_memory_grows_with_the_prompts_that_are_decoded_at_once() -> None:
    """A megabyte a row. All agents: 30 rows in the sample, 200 in the job. One agent: 10 in the sample, then 100."""
    assert expected().memory_bytes == 1_000_000_000 + 90_000_000 + JOB_BYTES
    hungry = SAMPLE.model_copy(update={"sampling_peak_bytes": 1_000_000_000})
    assert expected(sample=hungry).memory_bytes == 1_000_000_000 + 170_000_000 + JOB_BYTES
    small = PLAN.model_copy(update={"training": 10, "held_out": 10})
    assert expected(small).memory_bytes == 1_000_000_000 + JOB_BYTES, "no more rows than in the sample"
    assert expected().device_memory_bytes is None


def test_on_a_gpu_the_rows_are_in_its_memory() -> None:
    found = expected(PLAN.model_copy(update={"on_gpu": True}))
    assert found.device_memory_bytes == 1_090_000_000
    assert found.memory_bytes == 1_100_000_000 + JOB_BYTES


def test_disk_has_copies_of_adapters_and_bases_in_each_generation() -> None:
    generation = COPIES * 7_000_000 + 11_000_000 + GENERATION_BYTES
    assert expected().disk_bytes == 2 * generation + 5_000 * 350 + HOME_BYTES


def test_a_sample_without_examples_has_no_training() -> None:
    nothing = {"trained_tokens": 0, "training_speed": None, "training_start_seconds": 0.0, "adapter_bytes": 0}
    found = expected(sample=SAMPLE.model_copy(update=nothing))
    assert found.seconds["finetune"] == 0.0 and found.trained_tokens == 0
