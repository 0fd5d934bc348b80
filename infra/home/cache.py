"""Caching and retrying of tasks: what makes a killed run resume and a finished one cost nothing.

The key of a task is a digest of its parameters and of the code that it calls (`infra.home.sources`); parameters name
their inputs by SHA-256, never by path. A hit is trusted only after its artifacts were compared with
their digests; otherwise the record is removed, which makes it a miss.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
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
from evaluation.registry import OneOf
from infra.home.home import current_home
from infra.home.sources import source_digest

P = ParamSpec("P")
R = TypeVar("R")

served: Counter[str] = Counter()
"""Task runs of this process by outcome: `cached` or `computed`."""


def step(*, name: str) -> "Callable[[Callable[P, R]], Task[P, R]]":
    """Makes a function a Prefect task that is cached by content and retried after transient faults.

    Args:
        name: task run name, a template over the parameters.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        return task(
            task_run_name=name,
            persist_result=True,
            result_serializer="json",
            cache_policy=CachePolicy.from_cache_key_fn(
                lambda run, given: _checked_key(run, given, function.__module__)
            ),
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


def _checked_key(run: TaskRunContext, given: dict[str, Any], module: str) -> str:
    """The task's key; a record under it whose artifacts are not whole is removed first."""
    key = cache_key(run.task.name, given, modules={module})
    home = current_home()
    record = home.results / key
    if record.exists():
        fault = _fault(record, Store(home.artifacts))
        if fault:
            get_logger("maft.cache").warning("%s: %s; computing it again", run.task.name, fault)
            record.unlink()
    return key


def cache_key(name: str, given: Mapping[str, Any], *, modules: set[str]) -> str:
    """A digest of all that decides a step's result.

    Args:
        name: of the step.
        given: its parameters. A record's fields that change no result are named in its class's NOT_IN_CACHE_KEY.
        modules: the dotted name of the module of the step's function. Its code counts, and that of all that it
            imports; the modules of the parameters' classes and of what they name in a registry are added.
    """
    plain = {field: _plain(value, modules) for field, value in given.items()}
    text = json.dumps([name, plain, source_digest(modules)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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


def _plain(value: Any, modules: set[str]) -> Any:
    """A parameter as JSON; the modules that give it its meaning are added to `modules`."""
    if isinstance(value, BaseModel):
        infos = type(value).model_fields
        named = {field: [each for each in info.metadata if isinstance(each, OneOf)] for field, info in infos.items()}
        return _fields(value, named, modules)
    if is_dataclass(value) and not isinstance(value, type):
        return _fields(value, {field.name: [] for field in fields_of(value)}, modules)
    if isinstance(value, Mapping):
        return {str(key): _plain(each, modules) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, modules) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{type(value).__name__} cannot be part of a cache key; pass a record or a plain value")


def _fields(value: Any, registries: Mapping[str, Sequence[OneOf]], modules: set[str]) -> dict[str, Any]:
    """A record's fields; `registries` has the names of all, each with the registries that it names an entry of."""
    modules.add(type(value).__module__)
    own = {}
    for field in registries.keys() - getattr(value, "NOT_IN_CACHE_KEY", frozenset()):
        own[field] = _plain(getattr(value, field), modules)
        modules.update(each.registry.module_of(own[field]) for each in registries[field])
    return {"is a": type(value).__qualname__, **own}
