"""Fireworks' datasets, finetuning jobs and LoRA models, in the form of its client's types (fireworks-ai 1.2.30)."""

import re
from typing import Any

from tests.jobs_server import Job, JobsServer

STATES = {
    "validating": "JOB_STATE_VALIDATING",
    "queued": "JOB_STATE_PENDING",
    "running": "JOB_STATE_RUNNING",
    "succeeded": "JOB_STATE_COMPLETED",
    "failed": "JOB_STATE_FAILED",
    "cancelled": "JOB_STATE_CANCELLED",
}
ID = re.compile(r"[a-z0-9-]{1,63}")
ACCOUNT = "accounts/us"


def fault(message: str, status: int) -> dict[str, Any]:
    return {"code": {400: 3, 401: 16, 404: 5, 409: 6}.get(status, 2), "message": message, "details": []}


def _refused(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, fault(message, status)


def answer(
    server: JobsServer, method: str, path: str, query: dict[str, str], body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    match (method, re.split(r"[/:]", path.partition(f"/{ACCOUNT}/")[2])):
        case ("POST", ["datasets"]):
            return _dataset(server, body)
        case ("POST", ["datasets", id_, "upload"]) if _name("datasets", id_) in server.files:
            server.files[_name("datasets", id_)] = body["file"]
            return 200, {"id": id_, "filename": body["file"][0], "bytes": len(body["file"][1]), "object": "file"}
        case ("GET", ["datasets", id_]) if (name := _name("datasets", id_)) in server.files:
            return 200, {"name": name, "state": "READY" if server.files[name][1] else "UPLOADING", "format": "CHAT"}
        case ("POST", ["supervisedFineTuningJobs"]):
            return _start(server, query.get("supervisedFineTuningJobId", f"job-{len(server.jobs)}"), body)
        case ("GET", ["supervisedFineTuningJobs"]):
            size, start = int(query.get("pageSize", 50)), int(query.get("pageToken", 0))
            found = [_job(job) for job in server.jobs.values()]
            token = str(start + size) if start + size < len(found) else ""
            return 200, {"supervisedFineTuningJobs": found[start : start + size], "nextPageToken": token}
        case ("GET", ["supervisedFineTuningJobs", id_]) if id_ in server.jobs:
            return 200, _job(server.jobs[id_])
        case ("POST", ["supervisedFineTuningJobs", id_, "cancel"]) if id_ in server.jobs:
            server.cancel(server.jobs[id_])
            return 200, {}
        case ("POST", ["deployedModels"]):
            return _deploy(server, body)
        case ("GET", ["deployedModels"]):
            return 200, {"deployedModels": [_deployed(server, *each) for each in server.deployed], "nextPageToken": ""}
    return _refused(404, f"{path} not found")


def _name(kind: str, id_: str) -> str:
    return f"{ACCOUNT}/{kind}/{id_}"


def _dataset(server: JobsServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    id_ = body.get("datasetId", "")
    if not ID.fullmatch(id_):
        return _refused(400, f"invalid dataset id {id_!r}")
    if _name("datasets", id_) in server.files:
        return _refused(409, f"dataset {id_} already exists")
    server.keep_file(_name("datasets", id_), id_, b"")
    return 200, {"name": _name("datasets", id_), "state": "UPLOADING", **body["dataset"]}


def _start(server: JobsServer, id_: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    start = body.get("baseModel") or body.get("warmStartFrom")
    if not ID.fullmatch(id_):
        return _refused(400, f"invalid job id {id_!r}")
    if id_ in server.jobs:
        return _refused(409, f"job {id_} already exists")
    if body.get("baseModel") and body.get("warmStartFrom"):
        return _refused(400, "only one of base_model and warm_start_from can be specified")
    if body.get("dataset") not in server.files:
        return _refused(400, f"dataset {body.get('dataset')} not found")
    if start not in server.names:
        return _refused(400, f"model {start} is not tunable")
    settings = {
        "epochs": body.get("epochs", 1),
        "batch_size": body.get("batchSizeSamples", 4),
        "learning_rate": body.get("learningRate", 1e-4),
        "rank": body.get("loraRank", 8),
    }
    job = Job(id_, body["dataset"], start, settings, body)
    job.model = body.get("outputModel") or _name("models", id_)
    return 200, _job(server.give(job))


def _job(job: Job) -> dict[str, Any]:
    status = {"code": "INVALID_ARGUMENT", "message": job.reason} if job.reason else {"code": "OK", "message": ""}
    own = {"name": _name("supervisedFineTuningJobs", job.id), "state": STATES[job.state], "status": status}
    return {**job.about, **own, "outputModel": job.model}


def _deploy(server: JobsServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    key = (body["model"], body["deployment"])
    if body["model"] not in server.names:
        return _refused(404, f"model {body['model']} not found")
    if key in server.deployed:
        return _refused(409, "already deployed")
    server.deployed[key] = 0
    server.made["deployed"] += 1
    return 200, _deployed(server, *key)


def _deployed(server: JobsServer, model: str, deployment: str) -> dict[str, Any]:
    """A model takes a moment to be loaded; then it speaks as MODEL#DEPLOYMENT."""
    server.deployed[model, deployment] += 1
    ready = server.deployed[model, deployment] > 2
    if ready:
        server.names[f"{model}#{deployment}"] = server.names[model]
    return {"model": model, "deployment": deployment, "state": "DEPLOYED" if ready else "DEPLOYING"}
