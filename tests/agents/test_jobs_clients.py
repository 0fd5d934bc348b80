"""The vendors' own clients, unchanged, pass against the tests' server: so it is held to them and not to ours.

They are in the extra `dev`. openai 3.57 and fireworks-ai 1.2.30 were tried.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.training.jobs.learning import file_of
from tests.agents.jobs_samples import learner
from tests.jobs_server import BASE, JobsServer, jobs_server

pytestmark = pytest.mark.slow

ASKED = [{"role": "user", "content": "Is card 7 marked 1 or 2?"}]


@pytest.fixture(scope="module")
def server(brief_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobsServer]:
    with jobs_server(str(brief_folder), tmp_path_factory.mktemp("service")) as server:
        server.key = "sk-of-the-vendors-client"
        yield server


def ended(look: Callable[[], Any], states: set[str]) -> Any:
    """What `look` returns once it is in one of the states; OpenAI calls a state its status."""
    until = time.monotonic() + 60
    while str(getattr(job := look(), "state", None) or job.status) not in states:
        assert time.monotonic() < until
        time.sleep(0.05)
    return job


def test_openai(server: JobsServer) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key=server.key, base_url=server.url, max_retries=2)
    content = file_of(learner().examples)
    file = client.files.create(file=("mine.jsonl", content), purpose="fine-tune")
    assert (file.filename, file.bytes, file.purpose) == ("mine.jsonl", len(content), "fine-tune")
    assert client.files.retrieve(file.id) == file and file in list(client.files.list(purpose="fine-tune", limit=1))
    order: dict[str, Any] = {
        "model": BASE,
        "training_file": file.id,
        "suffix": "mine",
        "seed": 1,
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 1, "batch_size": 4}}},
    }
    job = client.fine_tuning.jobs.create(**order, metadata={"maft": "one"})
    assert job.status in {"validating_files", "queued", "running"} and job.metadata == {"maft": "one"}
    job = ended(lambda: client.fine_tuning.jobs.retrieve(job.id), {"succeeded", "failed"})
    assert job.status == "succeeded" and job.trained_tokens and job.fine_tuned_model and job.error is None
    said = client.chat.completions.create(model=job.fine_tuned_model, messages=ASKED, max_tokens=20, seed=1)
    assert said.choices[0].message.content and said.usage.completion_tokens > 0
    assert job.fine_tuned_model in {model.id for model in client.models.list()}

    # It goes on from its own model; pages of one; the metadata selects.
    second = client.fine_tuning.jobs.create(**{**order, "model": job.fine_tuned_model}, metadata={"maft": "two"})
    ended(lambda: client.fine_tuning.jobs.retrieve(second.id), {"succeeded"})
    assert [each.id for each in client.fine_tuning.jobs.list(limit=1)] == [second.id, job.id]
    chosen = client.fine_tuning.jobs.list(extra_query={"metadata[maft]": "one"})
    assert [each.id for each in chosen] == [job.id]

    # What ends otherwise: cancelled, refused, failed, a busy server.
    server.hold.clear()
    third = client.fine_tuning.jobs.create(**order)
    assert client.fine_tuning.jobs.cancel(third.id).status == "cancelled"
    server.hold.set()
    few = client.files.create(file=("few.jsonl", file_of(learner(examples=2).examples)), purpose="fine-tune")
    short = client.fine_tuning.jobs.create(**{**order, "training_file": few.id})
    short = ended(lambda: client.fine_tuning.jobs.retrieve(short.id), {"failed", "succeeded"})
    assert short.status == "failed" and "must have at least 10 examples" in short.error.message
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        client.fine_tuning.jobs.create(**{**order, "model": "nobody"})
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-none")
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(api_key="wrong", base_url=server.url).models.list()
    server.first["GET /v1/models"].append(
        lambda handler: handler.answer(429, {"error": {"message": "slow down"}}, retry_after="0")
    )
    assert len(list(client.models.list())) == len(server.names)


def test_fireworks(server: JobsServer) -> None:
    fireworks = pytest.importorskip("fireworks")
    url = server.url.removesuffix("/v1")
    client = fireworks.Fireworks(api_key=server.key, account_id="us", base_url=url, max_retries=0)
    about = {"format": "CHAT", "exampleCount": "12", "userUploaded": {}}
    dataset = client.datasets.create(dataset_id="mine", dataset=about)
    assert dataset.state == "UPLOADING"
    client.datasets.upload("mine", file=("mine.jsonl", file_of(learner().examples)))
    assert client.datasets.get("mine").state == "READY"
    order = {"dataset": dataset.name, "epochs": 1, "learning_rate": 1e-4, "lora_rank": 8, "batch_size_samples": 4}
    jobs = client.supervised_fine_tuning_jobs
    job = jobs.create(supervised_fine_tuning_job_id="mine-1", base_model=BASE, **order)
    assert job.name == "accounts/us/supervisedFineTuningJobs/mine-1"
    with pytest.raises(fireworks.ConflictError):
        jobs.create(supervised_fine_tuning_job_id="mine-1", base_model=BASE, **order)
    job = ended(lambda: jobs.get("mine-1"), {"JOB_STATE_COMPLETED", "JOB_STATE_FAILED"})
    assert job.state == "JOB_STATE_COMPLETED" and job.output_model == "accounts/us/models/mine-1"
    jobs.create(supervised_fine_tuning_job_id="mine-2", warm_start_from=job.output_model, **order)
    ended(lambda: jobs.get("mine-2"), {"JOB_STATE_COMPLETED"})
    assert {"mine-1", "mine-2"} <= {each.name.rpartition("/")[2] for each in jobs.list(page_size=1)}
    server.hold.clear()
    jobs.create(supervised_fine_tuning_job_id="mine-3", base_model=BASE, **order)
    jobs.cancel("mine-3", body={})
    assert jobs.get("mine-3").state == "JOB_STATE_CANCELLED"
    server.hold.set()
    with pytest.raises(fireworks.NotFoundError):
        jobs.get("nothing")

    shared = "accounts/us/deployments/shared"
    client.lora.load(model=job.output_model, deployment=shared)
    ended(lambda: next(iter(client.lora.list())), {"DEPLOYED"})
    said = client.chat.completions.create(model=f"{job.output_model}#{shared}", messages=ASKED, max_tokens=20)
    assert said.choices[0].message.content
