"""Caching and retrying of tasks: what makes a killed run resume and a finished one cost nothing.

The key of a task is a digest of its parameters and of the source of the modules it calls; parameters name their inputs
by SHA-256, never by path. A hit is trusted only after its artifacts were compared with their digests; otherwise the
record is removed, which makes it a miss.
"""

import functools
import hashlib
import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.logging import get_logger
from prefect.tasks import exponential_backoff
from pydantic import BaseModel

from agents.store import Artifact, Store
from infra.home.home import current_home

P = ParamSpec("P")
R = TypeVar("R")

NOT_IN_KEY = {"runner", "label"}
"""Parameters that change no result: where the work is done, and what it is called. A model of settings names those of
its own fields that change none in IMMATERIAL."""

served: Counter[str] = Counter()
"""Task runs of this process by outcome: `cached` or `computed`."""


def step(*modules: str, name: str) -> "Callable[[Callable[P, R]], Task[P, R]]":
    """A Prefect task that is cached by content and retried after transient faults.

    Args:
        modules: dotted names of the modules whose source decides the result, packages included with all below them.
        name: task run name, a template over the parameters.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        sources = (function.__module__, *modules)
        return task(
            task_run_name=name,
            persist_result=True,
            result_serializer="json",
            cache_policy=CachePolicy.from_cache_key_fn(lambda run, given: _checked_key(run, given, sources)),
            retries=2,
            retry_delay_seconds=exponential_backoff(2),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
            on_completion=[_count],
        )(function)

    return decorate


def is_transient(task: Any, run: Any, state: Any) -> bool:
    """Whether trying again may help: a lost connection, a time-out, a server that is down for a moment."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError):
        return True
    status = getattr(error, "get_http_status_code", lambda: 0)()
    return isinstance(status, int) and status in {429, 502, 503, 504}


def _count(task: Any, run: Any, state: Any) -> None:
    served["cached" if state.name == "Cached" else "computed"] += 1


def _checked_key(run: TaskRunContext, given: dict[str, Any], sources: tuple[str, ...]) -> str:
    """The task's key; a record under it whose artifacts are not whole is removed first."""
    matters = {name: value for name, value in given.items() if name not in NOT_IN_KEY}
    text = json.dumps([run.task.name, matters, source_digest(sources)], default=_plain, sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()
    home = current_home()
    record = home.results / key
    if record.exists():
        fault = _fault(record, Store(home.artifacts))
        if fault:
            get_logger("maft.cache").warning("%s: %s; computing it again", run.task.name, fault)
            record.unlink()
    return key


def _fault(record: Path, store: Store) -> str | None:
    """What is wrong with a stored record, or None."""
    try:
        result = json.loads(json.loads(record.read_text("utf-8"))["result"])
    except (ValueError, KeyError, TypeError) as error:
        return f"its stored result is not readable ({type(error).__name__})"
    for artifact in _artifacts(result):
        if not store.whole(artifact):
            return f"{artifact.path} is missing or is not what was stored"
    return None


def _artifacts(value: Any) -> Iterator[Artifact]:
    """Every artifact that a JSON value holds."""
    if isinstance(value, dict):
        if set(value) == set(Artifact.model_fields):
            yield Artifact(**value)
        else:
            for item in value.values():
                yield from _artifacts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _artifacts(item)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude=getattr(value, "IMMATERIAL", None))
    raise TypeError(f"{type(value).__name__} cannot be part of a cache key; pass a pydantic model or a plain value")


@functools.cache
def source_digest(modules: tuple[str, ...]) -> str:
    """SHA-256 of the source files of modules and packages, found without importing them."""
    hasher = hashlib.sha256()
    for module in sorted(set(modules)):
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{module}: no source to key a cache on")
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for file in files:
            hasher.update(file.name.encode() + b"\0" + file.read_bytes())
    return hasher.hexdigest()
