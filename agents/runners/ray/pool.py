"""The actors of this process: gives them parts, replaces those that are lost, and waits while there is no room.

An actor's process may die, its node may be cut off or run out of memory. Then its part goes back to the queue, and a
new actor takes its place, which Ray starts as soon as a node has room. So a job repeats the parts that were in flight,
and nothing else.
"""

import atexit
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError

from agents.engines.base_model import Bases
from agents.engines.protocol import EngineError, OnProgress
from agents.engines.settings import EngineSettings
from agents.runners.ray.actor import Actor, code_version
from agents.runners.ray.cluster import ClusterLostError, Watch, connect
from agents.runners.settings import Part, Together, Work
from agents.store import Store

if TYPE_CHECKING:
    from agents.runners.ray import Ray

log = logging.getLogger("maft.runners")

SLOW_START = 30.0
"""Seconds after which actors that did not start yet are worth a warning."""
TICK = 0.5
"""Seconds between two looks at the progress of the actors."""
LOSSES = 5
"""A part that loses so many actors is given up: it is likely to be the cause."""


class Member:
    """One actor, as the pool sees it."""

    def __init__(self, handle: "ActorHandle[Any]", version: str) -> None:
        self.handle = handle
        self.ready = False
        self.part: int | None = None
        self.call: Any = handle.prepare.remote(version)
        self.heard: Any = None


def pool_of(settings: "Ray", bases: Bases, engine: EngineSettings) -> "Pool":
    """The actors for these base models and this engine; at most those of one society live at a time."""
    if not _open or (_open[0].settings, _open[0].bases, _open[0].engine) != (settings, bases, engine):
        _close_all()
        _open.append(Pool(settings, bases, engine))
    return _open[0]


def present(settings: "Ray") -> str:
    """How many of the actors work at present; empty before the first work."""
    return next((pool.count for pool in _open if pool.settings == settings), "")


_open: "list[Pool]" = []


@atexit.register
def _close_all() -> None:
    while _open:
        _open.pop().close()


class Pool:
    """Actors that have the same base models; they are started at the first work.

    Args:
        settings: how many actors, and what each takes.
        bases, engine: what they work with.
    """

    def __init__(self, settings: "Ray", bases: Bases, engine: EngineSettings) -> None:
        self.settings, self.bases, self.engine = settings, bases, engine
        self.version = code_version()
        self.members: list[Member] = []
        self.said = ""
        self.since = time.monotonic()

    def do(self, work: Work, parts: Sequence[Part], store: Store, on_progress: OnProgress) -> list[Any]:
        """The results of the work on each part, in the order of the parts.

        Raises:
            ClusterLostError: the head of the cluster cannot be reached.
            EngineError: there was no actor for `wait_seconds`, or a part lost LOSSES actors.
        """
        if not parts:
            return []
        try:
            one = self.settings
            connect(one.address, cpus=one.actors * one.cpus, wait_seconds=one.wait_seconds)
            with Watch() as head:
                return _Step(self, head, parts, store, on_progress).run(work)
        except _Raised as raised:
            raise raised.error from raised
        except EngineError:
            raise
        except (RayError, OSError, RuntimeError) as error:
            self.close()
            raise ClusterLostError(self.settings.address, error) from error

    def fill(self) -> None:
        """Ask for as many actors as are missing; Ray starts each when a node has room."""
        one = self.settings
        remote: Any = ray.remote
        kind = remote(concurrency_groups={"talk": 1})(Actor)
        while len(self.members) < one.actors:
            made = kind.options(
                num_cpus=one.cpus,
                num_gpus=one.gpus,
                resources=one.resources,
                max_restarts=0,
            ).remote(self.bases, self.engine, one.of_an_actor)
            self.members.append(Member(made, self.version))

    def drop(self, member: Member) -> None:
        """Forget an actor, and end what is left of it."""
        self.members.remove(member)
        ray.kill(member.handle)

    @property
    def count(self) -> str:
        """How many of the actors have started, in words."""
        return f"{sum(member.ready for member in self.members)} of {self.settings.actors} actors"

    def say_who_works(self) -> None:
        """Log how many actors there are if that has changed, and warn once if some do not come."""
        needs = {"CPU": self.settings.cpus, "GPU": self.settings.gpus, **self.settings.resources}
        room = ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
        whole = len(self.members) == self.settings.actors and all(member.ready for member in self.members)
        waits = "" if whole else f"; the others start, or wait for a node with {room}"
        said = f"{self.count} work{waits}"
        if said != self.said:
            self.said, self.since = said, time.monotonic()
            log.info(said)
        elif waits and time.monotonic() - self.since > SLOW_START:
            self.since = float("inf")
            log.warning(said)

    def close(self) -> None:
        """End the actors and leave the cluster."""
        members, self.members = self.members, []
        if ray.is_initialized():
            # An actor deletes its folder; a lost one cannot.
            ray.wait([m.handle.close.remote() for m in members if m.ready] or [ray.put(0)], timeout=2)
            for member in members:
                ray.kill(member.handle)
            ray.shutdown()


class _Raised(Exception):
    """Carries what the work raised past the handler of Ray's own errors."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _Step:
    """The work of one step, in parts: which are waiting, which are done."""

    def __init__(self, pool: Pool, head: Watch, parts: Sequence[Part], store: Store, on_progress: OnProgress) -> None:
        self.pool, self.head, self.parts, self.store = pool, head, parts, store
        self.together = Together(parts, on_progress)
        self.queue = deque(sorted(range(len(parts)), key=lambda place: -parts[place].size))
        self.results: dict[int, Any] = {}
        self.losses = [0] * len(parts)
        self.shipped: dict[str, Any] = {}

    def run(self, work: Work) -> list[Any]:
        pool = self.pool
        for member in pool.members:
            member.part = None  # A step that failed may have left some.
        since = time.monotonic()
        while len(self.results) < len(self.parts):
            if not self.head.check():  # Without the head, to start or to end an actor would block.
                time.sleep(TICK)
                continue
            pool.fill()
            pool.say_who_works()
            for member in pool.members:
                if member.ready and member.part is None and self.queue:
                    self._give(member, work, self.queue.popleft())
            if any(member.ready for member in pool.members):
                since = time.monotonic()
            elif time.monotonic() - since > pool.settings.wait_seconds:
                raise EngineError(
                    f"runner: no actor for {pool.settings.wait_seconds} s; {pool.said}; add nodes to the cluster, "
                    "lower runner.cpus or runner.gpus, or raise runner.wait_seconds"
                )
            waited: dict[Any, Member] = {member.call: member for member in pool.members if member.call is not None}
            done, _ = ray.wait(list(waited), num_returns=1, timeout=TICK)
            # All that are done by now, so that no actor waits for another one's result to be read.
            more, _ = ray.wait([call for call in waited if call not in done] or done, timeout=0)
            for call in {*done, *more}:
                self._take(waited[call])
            self._listen()
        return [self.results[place] for place in range(len(self.parts))]

    def _give(self, member: Member, work: Work, place: int) -> None:
        part = self.parts[place]
        adapters = {sha256: self._files(sha256) for sha256 in part.adapters}
        # In a list, a reference is not replaced by what it refers to: only an actor that lacks the adapter fetches it.
        member.part, member.call = place, member.handle.do.remote(work, part.given, adapters)

    def _files(self, sha256: str) -> Any:
        if sha256 not in self.shipped:
            folder = self.store.folder(sha256)
            self.shipped[sha256] = ray.put({file.name: file.read_bytes() for file in folder.iterdir()})
        return self.shipped[sha256]

    def _take(self, member: Member) -> None:
        """Read the result of an actor's call; after a loss, its part waits again."""
        try:
            result: Any = ray.get(member.call)
        except RayTaskError as error:
            cause = error.cause
            if isinstance(cause, RayActorError | RayError):  # It lost what it was fetching.
                self._lose(member, cause)
                return
            self._let_others_end()
            if not member.ready:
                raise EngineError(f"runner: a node cannot work for this job: {cause}") from error
            raise _Raised(cause) from error
        except RayError as error:
            self._lose(member, error)
            return
        member.call = None
        if member.part is None:
            member.ready = True
            return
        self.results[member.part] = result
        self.together.tell(member.part, 1, 1)
        member.part = None

    def _lose(self, member: Member, error: Exception) -> None:
        why = str(error).strip().splitlines()[0]
        self.pool.drop(member)
        if member.part is None:
            log.warning("an actor was lost before it could work: %s", why)
            return
        place = member.part
        self.losses[place] += 1
        log.warning("an actor was lost: %s; its part (%d of %d) is done again", why, place + 1, len(self.parts))
        if self.losses[place] == LOSSES:
            raise EngineError(
                f"runner: part {place + 1} of {len(self.parts)} lost {LOSSES} actors, the last one so: {why}; if their "
                "memory did not suffice, lower runner.batch_rows or finetune.batch_size, or give actors larger nodes"
            )
        self.together.tell(place, 0, 1)
        self.queue.appendleft(place)

    def _let_others_end(self) -> None:
        """End the actors that work on other parts, which nobody needs any more."""
        for member in [member for member in self.pool.members if member.part is not None]:
            self.pool.drop(member)

    def _listen(self) -> None:
        """Ask the actors at work for their progress and their warnings, without waiting for the answer."""
        for member in self.pool.members:
            if member.part is None:
                continue
            if member.heard is None:
                member.heard = member.handle.heard.options(concurrency_group="talk").remote()
                continue
            answered, _ = ray.wait([member.heard], timeout=0)
            if not answered:
                continue
            try:
                done, total, lines = ray.get(member.heard)
            except RayError:
                pass  # The actor's own call fails too, and says why.
            else:
                self.together.tell(member.part, done, total)
                for name, level, text in lines:
                    logging.getLogger(name).log(level, text)
            member.heard = None
