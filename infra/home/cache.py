"""Caches and retries tasks, so that a killed run resumes and a finished run computes nothing again.

The key of a task is a digest of its parameters and of the code that it calls (`infra.home.sources`); parameters name
their inputs by SHA-256, never by path. Before a stored result is used, its artifacts are compared with their digests.
If one is damaged, the result is removed and computed again. Results and artifacts are in the home, or in a bucket
(`infra.home.store`).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from dataclasses import is_dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import httpx
from prefect import Task, task
from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.logging import get_logger
from prefect.tasks import exponential_backoff
from pydantic import BaseModel

from agents.bucket import Bucket, StoreError
from agents.store import Artifact, Store
from evaluation.registry import NamesModule
from infra.home.bucket_results import keep_in
from infra.home.home import current_home
from infra.home.sources import source_digest
from infra.home.store import named_bucket, results_of, store_of

P = ParamSpec("P")
R = TypeVar("R")

served: Counter[str] = Counter()
"""The number of task runs of this process by outcome, `cached` or `computed`."""


def step(
    *, name: str, fault: Callable[[Mapping[str, Any]], str | None] = lambda given: None
) -> "Callable[[Callable[P, R]], Task[P, R]]":
    """Make a function a Prefect task that is cached by content and retried after transient faults.

    Args:
        name: template of the task run's name; it may use the parameters.
        fault: what is wrong with a stored result that is about something outside of the home, from the parameters; None
            if it still holds.
    """

    def decorate(function: Callable[P, R]) -> Task[P, R]:
        bucket = named_bucket()
        made = task(
            task_run_name=name,
            persist_result=True,
            result_serializer="json",
            cache_policy=CachePolicy.from_cache_key_fn(
                lambda run, given: _checked_key(run, given, function.__module__, fault)
            ),
            retries=2,
            retry_delay_seconds=exponential_backoff(2),
            retry_jitter_factor=0.5,
            retry_condition_fn=is_transient,
            on_completion=[_count],
        )(_after_check(bucket, function) if bucket else function)
        if bucket:
            keep_in(bucket, made)
        return made

    return decorate


def _after_check(bucket: Bucket, function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which first sees that its result can be kept; Prefect only logs it if that fails later."""

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bucket.check()
        return function(*args, **kwargs)

    return checked


def is_transient(task: Any, run: Any, state: Any) -> bool:
    """Whether another try may help: a lost connection, a time-out, or a server or store that is down for a moment."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, httpx.TransportError | ConnectionError | TimeoutError | StoreError):
        return True
    status = getattr(error, "get_http_status_code", lambda: 0)()
    return isinstance(status, int) and status in {429, 502, 503, 504}


def _count(task: Any, run: Any, state: Any) -> None:
    served["cached" if state.name == "Cached" else "computed"] += 1


def _checked_key(
    run: TaskRunContext, given: dict[str, Any], module: str, fault_of: Callable[[Mapping[str, Any]], str | None]
) -> str:
    """The task's key; removes the result stored under it if that is damaged or no longer holds."""
    key = cache_key(run.task.name, given, modules={module})
    home = current_home()
    results = results_of(home)
    record = results.read(key)
    if record is not None:
        fault = _fault(record, store_of(home)) or fault_of(given)
        if fault:
            get_logger("maft.cache").warning("%s: %s; computing it again", run.task.name, fault)
            results.delete(key)
    return key


def cache_key(name: str, given: Mapping[str, Any], *, modules: set[str]) -> str:
    """A digest of everything that decides a step's result.

    Args:
        name: name of the step.
        given: the step's parameters. A class names its fields that change no result in NOT_IN_CACHE_KEY.
        modules: dotted name of the module of the step's function. This set is extended with the modules of the
            parameters' classes and of the registry entries that they name; the code of all these modules and of
            their imports counts.
    """
    plain = {field: _plain(value, modules) for field, value in given.items()}
    text = json.dumps([name, plain, source_digest(modules)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _fault(record: bytes, store: Store) -> str | None:
    """The fault of a stored result; None if it is whole."""
    try:
        result = json.loads(json.loads(record)["result"])
    except (ValueError, KeyError, TypeError) as error:
        return f"its stored result is not readable ({type(error).__name__})"
    for artifact in _artifacts(result):
        if not store.whole(artifact):
            return f"{artifact.path} is missing or has changed since it was stored"
    return None


def _artifacts(value: Any) -> Iterator[Artifact]:
    """Every artifact in a JSON value."""
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
    """A parameter as JSON; adds the modules of its class and of the registry entries that it names to `modules`."""
    if isinstance(value, BaseModel):
        infos = type(value).model_fields
        named = {
            field: [each for each in info.metadata if isinstance(each, NamesModule)] for field, info in infos.items()
        }
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


def _fields(value: Any, names: Mapping[str, Sequence[NamesModule]], modules: set[str]) -> dict[str, Any]:
    """A record's fields as JSON; `names` maps each field to the metadata that knows the module which it names."""
    modules.add(type(value).__module__)
    own = {}
    for field in names.keys() - getattr(value, "NOT_IN_CACHE_KEY", frozenset()):
        own[field] = _plain(getattr(value, field), modules)
        modules.update(each.module_of(own[field]) for each in names[field])
    return {"is a": type(value).__qualname__, **own}
