"""`maft ask`: asks a registered society one question, and prints the debate."""

from collections.abc import Mapping
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.text import Text

from agents.ask import QuestionError, problems_of
from infra.cli.texts import or_none, show_text, show_votes
from infra.errors import UserError
from infra.lineage.champion import generation, require_society


def ask_society(society: str, which: str, question: str, seed: int) -> dict[str, Any]:
    """Put a question to a version of a society.

    Args:
        society: the society's name.
        which: champion, candidate, or the number of a version.
        question: at most as long as the question of a problem.
        seed: decides every random choice; the same seed gives the same answer.

    Returns:
        A dictionary with society, version, generation, seed, and the fields of `agents.ask.Answer`.

    Raises:
        UserError: the question is blank or too long, or there is no such society or version.
    """
    try:
        problems_of([question])
    except QuestionError as error:
        raise UserError(str(error)) from error
    found = generation(society, which)
    if found is None:
        require_society(society)
        raise UserError(
            f"society {society!r} has no champion yet; ask its newest generation with --version candidate, or make a "
            f"generation the champion with `maft promote {society}`"
        )
    from mlflow.pyfunc import load_model

    # The model reads an agent's adapter only when the agent speaks, so the folder must exist until it has answered.
    with TemporaryDirectory() as folder:
        model: Any = load_model(f"models:/{society}/{found.version}", dst_path=folder)
        (answer,) = model.predict([question], params={"seed": seed}).to_dict("records")
    return {"society": society, "version": found.version, "generation": found.generation, "seed": seed, **answer}


def show_answer(console: Console, answer: Mapping[str, Any]) -> None:
    """Print what `ask_society` returns: the debate round by round, then the votes, the society's answer first."""
    head = f"{answer['society']} · version {answer['version']} · generation {answer['generation']}"
    console.print(Text(f"{head} · sampled with --seed {answer['seed']}", style="dim"))
    show_text(console, answer["question"], style="bold")
    last = max(turn["round"] for turn in answer["transcript"])
    for round_ in range(1, last + 1):
        console.print(Text(f"\nRound {round_}", style="bold"))
        for turn in (turn for turn in answer["transcript"] if turn["round"] == round_):
            show_text(console, f"{turn['agent']}: {or_none(turn['answer'])}", 2)
            if turn["read"] is not None:
                show_text(console, f"read: {turn['read']}", 4, "dim")
            show_text(console, turn["text"], 4)
    show_votes(console, answer["votes"], sum(turn["round"] == last for turn in answer["transcript"]))
    show_text(
        console, f"\nAnswer {or_none(answer['answer'])}  (consensus {100 * answer['consensus']:.0f} %)", style="bold"
    )
