"""Two tables of a society's generations for the terminal: their accuracy; their responses and examples."""

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from evaluation.scores import GenerationScores, RoundScore

MAX_LISTED_ROUNDS = 3
RESPONSE_COLUMNS = (
    "no answer, held-out",
    "cut, held-out",
    "no answer, training",
    "cut, training",
    "examples, per agent",
)
"""The columns of `response_cells`. Held-out and training are the problems that were answered."""


def debate_rounds(generations: Sequence[GenerationScores]) -> int:
    """M, the number of rounds, which is the same for all generations.

    Raises:
        ValueError: there are no generations, or their debates differ in length.
    """
    lengths = {len(scores.rounds) for scores in generations}
    if len(lengths) != 1:
        raise ValueError(f"the generations of one society must have the same number of rounds, not {sorted(lengths)}")
    return lengths.pop()


def percent(accuracy: float, error: float) -> str:
    """A share and its error in percent, such as 87.7±1.3."""
    return f"{100 * accuracy:.1f}±{100 * error:.1f}"


def share(value: float | None) -> str:
    """A share in percent, such as 87.7; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"


def _alone(score: RoundScore) -> str:
    return percent(score.mean_accuracy, score.mean_standard_error)


def _listed_critic_rounds(rounds: int) -> list[int]:
    """The rounds of critics that get a column: all, or the first and the last of long debates."""
    return list(range(2, rounds + 1)) if rounds <= MAX_LISTED_ROUNDS else [2, rounds]


def generations_table(generations: Sequence[GenerationScores], society: str) -> Table:
    """A row per generation, in percent with standard errors; 80 columns are enough for any number of rounds.

    Args:
        generations: at least one, all with debates of the same number of rounds.
        society: its name, for the title.

    Raises:
        ValueError: there are no generations, or their debates differ in length.
    """
    rounds = debate_rounds(generations)
    listed = _listed_critic_rounds(rounds)
    table = Table(
        title=Text(f"{society}: accuracy on held-out problems, % ± standard error"),
        caption=None if len(listed) >= rounds - 1 else Text(f"Rounds 3 to {rounds - 1} are left out."),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("gen.", justify="right")
    table.add_column("generators\nalone", justify="right", no_wrap=True)
    table.add_column("majority of\ngenerators", justify="right", no_wrap=True)
    for number in listed:
        alone = "alone" if rounds == 2 else f"round {number}"
        table.add_column(f"critics\n{alone}", justify="right", no_wrap=True)
    table.add_column("society", justify="right", no_wrap=True, style="bold")
    table.add_column("con-\nsensus", justify="right", no_wrap=True)
    table.add_column("labels\nright", justify="right", no_wrap=True)
    for scores in generations:
        first = scores.rounds[0]
        table.add_row(
            str(scores.generation),
            _alone(first),
            percent(first.majority_accuracy, first.majority_standard_error),
            *(_alone(scores.rounds[number - 1]) for number in listed),
            percent(scores.accuracy, scores.standard_error),
            share(scores.consensus),
            share(scores.pseudo_label_accuracy),
        )
    return table


def responses_table(generations: Sequence[GenerationScores], society: str) -> Table:
    """A row per generation: shares of responses without an answer and of cut ones, and the examples that agents had."""
    table = Table(
        title=Text(f"{society}: responses without an answer or cut short, %"),
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column("gen.", justify="right")
    for heading in RESPONSE_COLUMNS:
        table.add_column(heading.replace(", ", "\n"), justify="right", no_wrap=True)
    for scores in generations:
        table.add_row(str(scores.generation), *response_cells(scores))
    return table


def response_cells(scores: GenerationScores) -> list[str]:
    """The shares of a generation in percent, a dash for None, and the fewest and most examples that an agent had."""
    trained, sizes = scores.training_responses, scores.examples.values()
    examples = "-" if not sizes else str(min(sizes)) if len(set(sizes)) == 1 else f"{min(sizes)} to {max(sizes)}"
    return [
        share(scores.unanswered_share),
        share(scores.cut_share),
        share(trained.unanswered_share),
        share(trained.cut_share),
        "none" if scores.learned_nothing else examples,
    ]
