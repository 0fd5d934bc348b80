"""What tells generations apart, on a real MLflow server: their lineage, and the settings in which jobs differ."""

from infra.lineage.client import client
from infra.lineage.differences import join_lineage, log_differences, log_new_differences
from infra.lineage.records import JobRun
from infra.lineage.runs import open_generation, open_job
from tests.infra.lineage_samples import CONFIG


def begin(job: str, society: str = "differ", parent: str | None = None, **settings: object) -> JobRun:
    """Open a job as `tasks.lineage.register.open_lineage` does."""
    opened = open_job(society, job, job, {**CONFIG, "seed": 1, "iterations": 2, **settings}, {})
    join_lineage(opened, parent, int(str(settings.get("seed", 1))))
    log_new_differences(opened)
    return opened


def a_generation(job: JobRun, generation: int) -> str:
    run = open_generation(job, generation)
    log_differences(job, run)
    return run


def told(run_id: str) -> tuple[str, dict[str, str]]:
    data = client().get_run(run_id).data
    return data.tags["lineage"], data.params


def test_generations_tell_the_settings_in_which_jobs_differ_and_only_those(tracking: str) -> None:
    first = begin("first")
    one = a_generation(first, 1)
    assert told(one) == ("lineage 1, seed 1", {})
    second = begin("second", parent=one, iterations=1, start_from="1", problems={"kind": "gsm", "seeds": [1, 2]})
    two = a_generation(second, 2)
    assert told(two) == ("lineage 1, seed 1", {"problems.kind": "gsm"})
    assert told(one) == ("lineage 1, seed 1", {"problems.kind": "arithmetic"}), "the earlier ones tell it too"
    third = begin("third", seed=7)
    assert told(a_generation(third, 1)) == ("lineage 2, seed 7", {"problems.kind": "arithmetic", "seed": "7"})
    assert told(two) == ("lineage 1, seed 1", {"problems.kind": "gsm", "seed": "1"})
    assert begin("third", parent=one, seed=7) == third
    assert told(a_generation(third, 2))[0] == "lineage 2, seed 7", "a job keeps its lineage"


def test_a_lineage_goes_on_from_a_generation_that_was_deleted(tracking: str) -> None:
    one = a_generation(begin("first", "cut-off"), 1)
    client().delete_run(one)
    assert told(a_generation(begin("second", "cut-off", parent=one), 2))[0] == "lineage 1, seed 1"
    earlier = begin("third", "cut-off", parent="0" * 32)
    assert told(a_generation(earlier, 3))[0] == "lineage 2, seed 1", "its run is no longer known"
