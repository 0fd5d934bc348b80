"""Who is in the society: N generation agents and N critic agents over one base model or several."""

from pydantic import Field

from evaluation.record import Record, Role


class Agent(Record):
    """One agent: its place in the society and the adapter that makes it differ from the base."""

    role: Role
    index: int = Field(ge=0)
    adapter: str | None = Field(default=None, description="SHA-256 of its adapter; none for the untuned base.")

    @property
    def name(self) -> str:
        """generator-0, critic-2, ..."""
        return f"{self.role}-{self.index}"


class Society(Record):
    """One generation of agents; in generation 0, all 2N agents are the untuned base."""

    generation: int = Field(ge=0)
    generators: list[Agent]
    critics: list[Agent]

    @property
    def agents(self) -> list[Agent]:
        """All agents: generators first, then critics."""
        return [*self.generators, *self.critics]

    @classmethod
    def untuned(cls, n: int, first: int = 0) -> "Society":
        """Generation 0: n generators and n critics with the indices first .. first+n-1.

        The seeds depend on the index, so every agent samples its own responses.
        """
        return cls.sharing(0, None, n, first)

    @classmethod
    def sharing(cls, generation: int, adapter: str | None, n: int, first: int = 0) -> "Society":
        """A society in which all agents are the same model."""
        places = range(first, first + n)
        return cls(
            generation=generation,
            generators=[Agent(role="generator", index=i, adapter=adapter) for i in places],
            critics=[Agent(role="critic", index=i, adapter=adapter) for i in places],
        )
