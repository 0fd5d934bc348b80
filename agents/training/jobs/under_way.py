"""The jobs that a run has given to a service and that have not ended, written down so that a cancellation ends them.

A run that is killed leaves its jobs at work, since the same command takes them up again. A run that a user cancels does
not: its process is gone by then, so another one reads here what to end.
"""

import threading

from agents.engines.protocol import EngineError
from agents.hosted.http import Server
from agents.store import Store
from agents.training.jobs.dialects import DIALECTS
from agents.training.jobs.protocol import Order, Service
from agents.training.methods.jobs import Jobs
from evaluation.record import Record


class _Given(Record):
    order: Order
    file: str


class _UnderWay(Record):
    settings: Jobs
    given: list[_Given]


class UnderWay:
    """The orders of one run whose jobs have not ended.

    Args:
        store: keeps them as a note.
        run: the id of the run; None keeps nothing.
        settings: how the service is reached.
    """

    def __init__(self, store: Store, run: str | None, settings: Jobs) -> None:
        self.store, self.run, self.settings = store, run, settings
        self._given: dict[str, _Given] = {}
        self._lock = threading.Lock()

    def add(self, order: Order, file: str) -> None:
        """Write an order down; call this before its job is started."""
        with self._lock:
            self._given[order.key] = _Given(order=order, file=file)
            self._write()

    def remove(self, order: Order) -> None:
        """Its job has ended."""
        with self._lock:
            self._given.pop(order.key, None)
            self._write()

    def _write(self) -> None:
        if self.run is not None:
            note = _UnderWay(settings=self.settings, given=[*self._given.values()])
            self.store.note(_name(self.run), note.model_dump_json().encode())


def cancel_jobs(store: Store, run: str) -> list[str]:
    """End the jobs of a run that have not ended; return their ids.

    Raises:
        EngineError: the service cannot be reached, or does not end a job; the message has a line for each such job.
    """
    content = store.noted(_name(run))
    if content is None:
        return []
    note = _UnderWay.model_validate_json(content)
    kind = DIALECTS[note.settings.service]
    ended, faults, left = [], [], []
    with Server(note.settings, section="finetune", variable=kind.variable) as server:
        service = kind(server, note.settings)
        for each in note.given:
            try:
                ended += _cancel(service, each)
            except EngineError as error:
                faults.append(f"{each.order.agent}: {error}")
                left.append(each)
    store.note(_name(run), note.model_copy(update={"given": left}).model_dump_json().encode())
    if faults:
        raise EngineError("\n".join(faults))
    return ended


def _cancel(service: Service, given: _Given) -> list[str]:
    job = service.find(given.order, given.file)
    if job is None or job.state != "waiting":
        return []
    service.cancel(job.id)
    return [job.id]


def _name(run: str) -> str:
    return f"jobs-of-{run}.json"
