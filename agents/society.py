"""Who is in the society: N generation agents and N critic agents over one base model."""

from pydantic import Field

from evaluation.scores import Record, Role


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
    """One generation of agents; generation 0 is the untuned base, 2N times."""

    generation: int = Field(ge=0)
    generators: list[Agent]
    critics: list[Agent]

    @property
    def agents(self) -> list[Agent]:
        """Generators first, then critics."""
        return [*self.generators, *self.critics]

    @classmethod
    def untuned(cls, n: int) -> "Society":
        """Generation 0."""
        return cls(
            generation=0,
            generators=[Agent(role="generator", index=i) for i in range(n)],
            critics=[Agent(role="critic", index=i) for i in range(n)],
        )
