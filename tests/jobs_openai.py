"""The form of OpenAI's files and finetuning jobs, as its client's types have it (openai 3.57)."""

import time
from typing import Any

from tests.jobs_server import Job, JobsServer

STARTED = int(time.time())


def fault(message: str, status: int) -> dict[str, Any]:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


def answer(
    server: JobsServer, method: str, path: str, query: dict[str, str], body: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    match (method, path.removeprefix("/v1").strip("/").split("/")):
        case ("GET", ["models"]):
            data = [{"id": name, "object": "model", "created": STARTED, "owned_by": "us"} for name in server.names]
            return 200, {"object": "list", "data": data}
        case ("POST", ["files"]):
            return _upload(server, body)
        case ("GET", ["files"]):
            newest = [_file(server, id_) for id_ in reversed(server.files)]
            return 200, _page(newest if query.get("order") == "desc" else newest[::-1], query, 10_000)
        case ("GET", ["files", id_]) if id_ in server.files:
            return 200, _file(server, id_)
        case ("POST", ["fine_tuning", "jobs"]):
            return _start(server, body)
        case ("GET", ["fine_tuning", "jobs"]):
            wanted = {name[9:-1]: value for name, value in query.items() if name.startswith("metadata[")}
            all_ = [_job(job) for job in reversed(server.jobs.values())]
            found = [job for job in all_ if server.forgets_metadata or wanted.items() <= job["metadata"].items()]
            return 200, _page(found, query, 20)
        case ("GET", ["fine_tuning", "jobs", id_]) if id_ in server.jobs:
            return 200, _job(server.jobs[id_])
        case ("POST", ["fine_tuning", "jobs", id_, "cancel"]) if id_ in server.jobs:
            server.cancel(server.jobs[id_])
            return 200, _job(server.jobs[id_])
    return 404, fault(f"No such object: {path}", 404)


def _upload(server: JobsServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if body.get("purpose") != "fine-tune":
        return 400, fault("'purpose' is a required property", 400)
    id_ = f"file-{len(server.files):06d}"
    server.keep_file(id_, *body["file"])
    return 200, _file(server, id_)


def _start(server: JobsServer, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    if body.get("model") not in server.names:
        return 400, fault(f"Model {body.get('model')} is not available for fine-tuning or does not exist.", 400)
    if body.get("training_file") not in server.files:
        return 400, fault(f"invalid training_file: {body.get('training_file')}", 400)
    metadata = {} if server.forgets_metadata else body.get("metadata") or {}
    if len(metadata) > 16 or any(len(key) > 64 or len(value) > 512 for key, value in metadata.items()):
        return 400, fault("metadata has more than 16 pairs, or a pair is too long", 400)
    if len(body.get("suffix") or "") > 64:
        return 400, fault("suffix is too long", 400)
    if not 0 <= body.get("seed", 0) < 2**31:
        return 400, fault("seed is out of range", 400)
    tuning = body.get("method", {}).get("supervised", {}).get("hyperparameters", {})
    id_ = f"ftjob-{len(server.jobs):06d}"
    settings = {
        "seed": body.get("seed", 0),
        "epochs": tuning.get("n_epochs", 1),
        "batch_size": tuning.get("batch_size", 4),
        "learning_rate": 1e-3 * tuning.get("learning_rate_multiplier", 1.0),
    }
    job = Job(id_, body["training_file"], body["model"], settings, {**body, "metadata": metadata})
    job.model = f"ft:{body['model'].split(':')[0]}:us:{body.get('suffix') or ''}:{id_}"
    return 200, _job(server.give(job))


def _page(items: list[dict[str, Any]], query: dict[str, str], usual: int) -> dict[str, Any]:
    ids = [item["id"] for item in items]
    start = ids.index(query["after"]) + 1 if query.get("after") in ids else 0
    stop = start + int(query.get("limit", usual))
    page = items[start:stop]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, "has_more": stop < len(items), **ends}


def _file(server: JobsServer, id_: str) -> dict[str, Any]:
    name, content = server.files[id_]
    own = {"id": id_, "filename": name, "bytes": len(content), "object": "file", "purpose": "fine-tune"}
    server.reads -= 1
    return {**own, "created_at": STARTED, "status": "pending" if server.reads >= 0 else "processed"}


def _job(job: Job) -> dict[str, Any]:
    told = {"validating": "validating_files", "queued": "queued", "running": "running"}
    code = "invalid_training_file" if job.state == "failed" else ""
    hyperparameters = job.about.get("method", {}).get("supervised", {}).get("hyperparameters", {})
    return {
        "id": job.id,
        "object": "fine_tuning.job",
        "created_at": STARTED,
        "finished_at": None if job.state in told else STARTED,
        "error": {"code": code, "message": job.reason, "param": "training_file"} if job.reason else None,
        "fine_tuned_model": job.model if job.state == "succeeded" else None,
        "hyperparameters": hyperparameters,
        "method": job.about.get("method"),
        "model": job.start,
        "organization_id": "us",
        "result_files": [],
        "seed": job.about.get("seed", 0),
        "status": told.get(job.state, job.state),
        "trained_tokens": job.tokens,
        "training_file": job.file,
        "validation_file": None,
        "metadata": job.about["metadata"],
    }
