"""What hosted agents cost: the prices of tokens, the tokens of a job, and its budget."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from agents.engines.protocol import EngineError, Request
from agents.engines.settings import EngineSettings
from evaluation.record import Record

CHARS_PER_TOKEN = 3.0
"""Assumed of a job's first prompts; later ones are taken to be as those before them. English has about 4."""


class BudgetError(EngineError):
    """The next step would cost more than is left of the budget; the message says how much, and what to set."""


class Prices(BaseModel):
    """What a service takes for a million tokens; zero for what it does not charge."""

    model_config = ConfigDict(extra="forbid", frozen=True, title="Prices")

    prompt: float = Field(ge=0.0, title="Prompts", description="Per million tokens of prompts.")
    sampled: float = Field(ge=0.0, title="Responses", description="Per million sampled tokens.")
    trained: float = Field(ge=0.0, title="Training", description="Per million tokens of examples, each epoch counted.")
    currency: str = Field(default="USD", min_length=1, max_length=8, title="Currency", description="For display.")

    def of(self, tokens: "Tokens") -> float:
        """The cost of some tokens."""
        paid = (
            (tokens.prompt + tokens.read) * self.prompt + tokens.sampled * self.sampled + tokens.trained * self.trained
        )
        return paid / 1e6

    def shown(self, cost: float) -> str:
        """A cost as text, such as 1.25 USD; small ones with more digits."""
        return f"{cost:.2f} {self.currency}" if cost >= 1.0 or cost == 0.0 else f"{cost:.2g} {self.currency}"


class Tokens(Record):
    """Tokens that a service read, sampled and trained on."""

    prompt: int = 0
    sampled: int = 0
    trained: int = 0
    read: int = 0
    """Tokens of texts whose likelihood was asked for; a service charges them as prompts."""
    responses: int = 0
    """Number of responses that were sampled."""
    prompt_chars: int = 0
    """Characters of their prompts."""

    def __add__(self, other: "Tokens") -> "Tokens":
        """The sum, field by field."""
        return Tokens(**{name: getattr(self, name) + getattr(other, name) for name in Tokens.model_fields})


class ServiceEngine(EngineSettings):
    """The settings of an engine that speaks through a service, which may cost money."""

    prices: Prices | None = Field(
        default=None, title="Prices", description="What the service takes for tokens. None: costs are not shown."
    )
    budget: float | None = Field(
        default=None,
        gt=0.0,
        title="Budget",
        description="The most that a job may cost; it stops before the step that would pass it, and goes on from "
        "there when this is raised. Needs prices. None: no limit.",
    )

    def check(self) -> None:
        """Refuse a budget without prices.

        Raises:
            EngineError: there are none.
        """

        if self.budget is not None and (
            self.prices is None or not self.prices.of(Tokens(prompt=1, sampled=1, trained=1))
        ):
            raise EngineError(
                "engine.budget is set, but engine.prices has no price, so nothing would ever be counted; set "
                "engine.prices to what the service takes for a million tokens"
            )


def priced(engine: EngineSettings) -> Prices | None:
    """The prices of an engine; None if it has none."""
    return engine.prices if isinstance(engine, ServiceEngine) else None


def expected(requests: Sequence[Request], before: Tokens) -> Tokens:
    """The tokens that some requests will probably take.

    Args:
        requests: what will be asked.
        before: what the job took so far; the prompts and the responses are taken to be like those. Without any, a token
            has CHARS_PER_TOKEN characters, and each response is as long as it may be.
    """
    chars = sum(len(message["content"]) for request in requests for message in request.messages)
    longest = sum(request.max_new_tokens for request in requests)
    per_char = before.prompt / before.prompt_chars if before.prompt_chars else 1 / CHARS_PER_TOKEN
    sampled = min(longest, len(requests) * before.sampled / before.responses) if before.responses else longest
    return Tokens(prompt=round(chars * per_char), sampled=round(sampled))


def check_budget(engine: EngineSettings, *, spent: Tokens, wanted: Tokens, what: str) -> None:
    """Refuse a step that would pass the budget.

    Args:
        engine: the engine, which may have prices and a budget.
        spent: what the job took so far.
        wanted: what the step will take.
        what: the name of the step.

    Raises:
        BudgetError: the step would pass it.
    """
    if not isinstance(engine, ServiceEngine) or engine.budget is None or engine.prices is None:
        return
    paid, more = engine.prices.of(spent), engine.prices.of(wanted)
    if paid + more > engine.budget:
        shown = engine.prices.shown
        raise BudgetError(
            f"engine.budget is {shown(engine.budget)}: {shown(paid)} are spent, and {what} would take about "
            f"{shown(more)} more; all that was made is kept, and the job goes on from here if it is run again with "
            f"a budget of at least {paid + more:.2g} for this step; `maft preview` forecasts the whole job"
        )
