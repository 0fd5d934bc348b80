"""Tables of a society's generations and warnings in GitHub markdown, for the pages of MLflow and Prefect."""

import re
from collections.abc import Sequence

from evaluation.reporting.tables import RESPONSE_COLUMNS, debate_rounds, percent, response_cells, share
from evaluation.scores import GenerationScores

_SPECIAL = re.compile(r"[\\`*_{}\[\]()<>#+!|&~:@$]")


def generations_markdown(generations: Sequence[GenerationScores], society: str) -> str:
    """A heading line and a table with a row per generation, in percent with standard errors.

    Args:
        generations: at least one, all with debates of the same number of rounds.
        society: its name.

    Raises:
        ValueError: there are no generations, or their debates differ in length.
    """
    rounds = debate_rounds(generations)
    critics = [] if rounds == 1 else ["critics alone" if rounds == 2 else f"critics alone, round {rounds}"]
    # The page of a Prefect artifact has room for seven short columns.
    columns = ["gen.", "generators alone", "majority", *critics, "society", "consensus", "labels right"]
    unchanged = any(scores.unchanged for scores in generations)
    columns += ["agents unchanged"] * unchanged
    rows = []
    for scores in generations:
        first, last = scores.rounds[0], scores.rounds[-1]
        rows.append(
            [
                str(scores.generation),
                percent(first.mean_accuracy, first.mean_standard_error),
                percent(first.majority_accuracy, first.majority_standard_error),
                *[percent(last.mean_accuracy, last.mean_standard_error) for _ in critics],
                f"**{percent(scores.accuracy, scores.standard_error)}**",
                share(scores.consensus),
                share(scores.pseudo_label_accuracy),
                *[", ".join(escaped(name) for name in scores.unchanged) or "-"] * unchanged,
            ]
        )
    problems = " or ".join(f"{number:,}" for number in sorted({scores.problems for scores in generations}))
    title = f"**{escaped(society)}**: accuracy on {problems} held-out problems, % ± standard error"
    return f"{title}\n\n{markdown_table(columns, rows)}"


def generations_page(generations: Sequence[GenerationScores], society: str, warnings: Sequence[str]) -> str:
    """The warnings, and the tables of accuracies and of responses.

    Args:
        generations, society: as for `generations_markdown`.
        warnings: of `evaluation.reporting.advice`.

    Raises:
        ValueError: as `generations_markdown`.
    """
    rows = [[str(scores.generation), *response_cells(scores)] for scores in generations]
    responses = markdown_table(["gen.", *(name.removesuffix(", per agent") for name in RESPONSE_COLUMNS)], rows)
    tables = (
        f"{generations_markdown(generations, society)}\n\n"
        f"Responses without an answer or cut short, %, and examples per agent\n\n{responses}"
    )
    return f"{warnings_markdown(warnings)}\n\n{tables}" if warnings else tables


def warnings_markdown(warnings: Sequence[str]) -> str:
    """A list of warnings, each with the word in front; their text is no markup."""
    return "\n".join(f"- **Warning:** {escaped(warning)}" for warning in warnings)


def markdown_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], names: int = 0, *, spaced: bool = False
) -> str:
    """A GitHub table, one line per row, without a line break at the end.

    Args:
        columns: the headings.
        rows: the cells, already as markup.
        names: how many columns, from the first, hold text and are aligned left; the others are aligned right.
        spaced: whether to put a wide space after each cell but the last, for MLflow, which shows columns without a gap.
    """
    gap = " &ensp;| " if spaced else " | "
    lines = [gap.join(cells) for cells in (columns, *rows)]
    lines.insert(1, " | ".join(["---"] * names + ["--:"] * (len(columns) - names)))
    return "\n".join(f"| {line} |" for line in lines)


def escaped(text: str) -> str:
    """Any text on one line, escaped so that it has no markup, HTML or link, and does not end a table's cell."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", " ".join(text.split()))
