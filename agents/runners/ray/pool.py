"""The actors of a job: gives them parts, replaces those that are lost, and waits while there is no room.

An actor's process may die, its node may be cut off or run out of memory. Then its part goes back to the queue, and a
new actor takes its place, which Ray starts as soon as a node has room. So a job repeats the parts that were in flight,
and nothing else.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError, RayTaskError

from agents.engines.protocol import EngineError
from agents.runners.ray.actor import Actor, code_version
from agents.runners.ray.cluster import Watch
from agents.runners.ray.link import Job

log = logging.getLogger("maft.runners")

SLOW_START = 30.0
"""Seconds after which actors that did not start yet are worth a warning."""
TICK = 0.5
"""Seconds between two looks at the progress of the actors."""
LOSSES = 5
"""A part that loses so many actors is given up: it is likely to be the cause."""


class Asker(Protocol):
    """The process that wants the work."""

    def ask(self, kind: str, *given: Any) -> Any:
        """The answer to `part` with a number, or to `adapter` with a digest."""
        ...

    def tell(self, kind: str, *given: Any) -> None:
        """Take a `result` or the `progress` of a part, or `who` works."""
        ...


class Member:
    """One actor, as the pool sees it."""

    def __init__(self, handle: "ActorHandle[Any]", version: str) -> None:
        self.handle = handle
        self.ready = False
        self.where = ""
        self.part: int | None = None
        self.call: Any = handle.prepare.remote(version)
        self.heard: Any = None


class Pool:
    """Actors that have the same base models; they are started at the first work."""

    def __init__(self, job: Job, asker: Asker) -> None:
        self.job, self.settings, self.asker = job, job.settings, asker
        self.version = code_version()
        self.members: list[Member] = []
        self.said = ""
        self.since = time.monotonic()

    def do(self, parts: Sequence[tuple[float, frozenset[str]]], head: Watch) -> None:
        """Do the work of a step; each result is told as soon as it is there.

        Args:
            parts: the size of each part, and the digests of the adapters that it needs.
            head: watches the head of the cluster.

        Raises:
            ConnectionError: the head of the cluster is lost.
            EngineError: there was no actor for `wait_seconds`, or a part lost LOSSES actors.
        """
        step = _Step(self, parts)
        waiting_since = listened = time.monotonic()
        while step.left:
            if not head.check():  # Without the head, to start or to end an actor would block.
                time.sleep(TICK)
                continue
            self.fill()
            self.say_who_works()
            step.give()
            if any(member.ready for member in self.members):
                waiting_since = time.monotonic()
            elif time.monotonic() - waiting_since > self.settings.wait_seconds:
                raise EngineError(
                    f"no actor for {self.settings.wait_seconds} s; {self.said}; add nodes to the cluster, lower "
                    "runner.cpus or runner.gpus, or raise runner.wait_seconds"
                )
            waited: dict[Any, Member] = {member.call: member for member in self.members if member.call is not None}
            done, _ = ray.wait(list(waited), num_returns=1, timeout=TICK)
            # All that are done by now, so that no actor waits for another one's result to be read.
            more, _ = ray.wait([call for call in waited if call not in done] or done, timeout=0)
            for call in {*done, *more}:
                step.take(waited[call])
            if time.monotonic() - listened > TICK:  # With many actors, to ask them all takes a while.
                step.listen()
                listened = time.monotonic()

    def fill(self) -> None:
        """Ask for as many actors as are missing; Ray starts each when a node has room."""
        one = self.settings
        remote: Any = ray.remote
        kind = remote(concurrency_groups={"talk": 1})(Actor)
        while len(self.members) < one.actors:
            made = kind.options(num_cpus=one.cpus, num_gpus=one.gpus, resources=one.resources, max_restarts=0).remote(
                self.job.bases, self.job.engine, one.of_one_place
            )
            self.members.append(Member(made, self.version))

    def drop(self, member: Member) -> None:
        """Forget an actor, and end what is left of it."""
        self.members.remove(member)
        ray.kill(member.handle)

    def say_who_works(self) -> None:
        """Say how many actors there are if that has changed, and warn once if some do not come."""
        ready = sum(member.ready for member in self.members)
        who = f"{ready} of {self.settings.actors} actors"
        needs = {"CPU": self.settings.cpus, "GPU": self.settings.gpus, **self.settings.resources}
        room = ", ".join(f"{amount:g} {name}" for name, amount in needs.items() if amount)
        waits = "" if ready == self.settings.actors else f"; the others start, or wait for a node with {room}"
        said = f"{who} work{waits}"
        if said != self.said:
            self.said, self.since = said, time.monotonic()
            self.asker.tell("who", who)
            log.info(said)
        elif waits and time.monotonic() - self.since > SLOW_START:
            self.since = float("inf")
            log.warning(said)

    def close(self) -> None:
        """End the actors and leave the cluster."""
        members, self.members = self.members, []
        if ray.is_initialized():
            # An actor deletes its folder; one that is at work or lost cannot.
            idle = [member for member in members if member.ready and member.part is None]
            if idle:
                ray.wait([member.handle.close.remote() for member in idle], num_returns=len(idle), timeout=2)
            ray.shutdown()


class _Step:
    """The work of one step, in parts: which are waiting, which are left."""

    def __init__(self, pool: Pool, parts: Sequence[tuple[float, frozenset[str]]]) -> None:
        self.pool, self.parts, self.asker = pool, parts, pool.asker
        self.left = len(parts)
        self.queue = deque(sorted(range(len(parts)), key=lambda place: -parts[place][0]))
        self.losses = [0] * len(parts)
        self.shipped: dict[str, Any] = {}

    def give(self) -> None:
        """Give each idle actor a part."""
        for member in self.pool.members:
            if member.ready and member.part is None and self.queue:
                place = self.queue.popleft()
                adapters = {sha256: self._files(sha256) for sha256 in self.parts[place][1]}
                pickled = self.asker.ask("part", place)
                # In a dictionary, a reference is not replaced by what it refers to: an actor that has the adapter
                # already fetches nothing.
                member.part, member.call = place, member.handle.do.remote(pickled, adapters)

    def take(self, member: Member) -> None:
        """Read the result of an actor's call; after a loss, its part waits again."""
        try:
            result: Any = ray.get(member.call)
        except RayTaskError as error:
            if not member.ready:
                raise EngineError(f"a node cannot work for this job: {error.cause}") from error
            self._lose(member, error.cause)  # It could not fetch an adapter, or its result cannot be pickled.
            return
        except RayError as error:
            self._lose(member, error)
            return
        member.call = None
        if member.part is None:
            member.ready, member.where = True, f" on {result}"
            return
        pickled, lines = result
        for line in lines:
            self.asker.tell("log", *line)
        self.asker.tell("result", member.part, pickled)
        self.left -= 1
        member.part = None

    def listen(self) -> None:
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
                self.asker.tell("progress", member.part, done, total)
                for line in lines:
                    self.asker.tell("log", *line)
            member.heard = None

    def _files(self, sha256: str) -> Any:
        if sha256 not in self.shipped:
            self.shipped[sha256] = ray.put(self.asker.ask("adapter", sha256))
        return self.shipped[sha256]

    def _lose(self, member: Member, error: Exception) -> None:
        why = str(error).strip().splitlines()[0].removesuffix(".")
        self.pool.drop(member)
        if member.part is None:
            log.warning("an actor was lost before it could work: %s", why)
            return
        place = member.part
        self.losses[place] += 1
        again = f"its part ({place + 1} of {len(self.parts)}) is done again"
        log.warning("an actor%s was lost: %s; %s", member.where, why, again)
        if self.losses[place] == LOSSES:
            raise EngineError(
                f"part {place + 1} of {len(self.parts)} lost {LOSSES} actors, the last one so: {why}; if their memory "
                "did not suffice, lower runner.batch_rows or finetune.batch_size, or give actors larger nodes"
            )
        self.asker.tell("progress", place, 0, 1)
        self.queue.appendleft(place)
