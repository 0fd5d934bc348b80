"""Ask a society: generation, debate and vote on questions without a reference answer.

    answers = answer(run, card, ["What is the result of 12+7*3+10-5*2?"], seed=0)
    answers[0].answer, answers[0].votes, answers[0].consensus  ->  "33", {"33": 2, "43": 1}, 0.667

With the seed of a job, a held-out question gets the same debate as when its generation was measured.
"""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
from pydantic import Field, ValidationError

from agents.algorithm import Debating, hold_debate
from agents.debate.prompts import DEFAULT, Prompts
from agents.engines.base_model import Bases
from agents.engines.registry import AnyEngine
from agents.frames import problems_frame, read_responses
from agents.records import Stream
from agents.run import Run
from agents.society import Society
from evaluation.answers.grader import AnyGrader, Grader
from evaluation.answers.kinds.math import MATH
from evaluation.answers.vote import Tally, tally, vote_seed
from evaluation.frames import text_or_none
from evaluation.problems.problem import Problem
from evaluation.record import Record


class Card(Debating):
    """All that a society needs to answer questions, but the weights: its agents, bases, prompts and how it debates."""

    society: Society
    bases: Bases
    prompts: Prompts = DEFAULT
    answers: AnyGrader = MATH
    engine: AnyEngine | None = None
    """The service that has the agents' weights; None: they are here."""
    hosted: tuple[int, ...] | None = None
    """The indices of the agents at the service, if others are here; None: `engine` speaks for all."""


class QuestionError(ValueError):
    """A question that cannot be asked; the message says which one and why."""


class Utterance(Record):
    """What one agent said in one round."""

    round: int = Field(ge=1)
    agent: str = Field(description="generator-0, critic-2, ...")
    read: str | None = Field(description="What the agent read before it answered; none in round 1.")
    text: str
    answer: str | None = Field(description="The answer in the text; none if the text has none.")


class Answer(Record):
    """The society's answer to one question, with the votes and the debate."""

    question: str
    answer: str | None = Field(description="The winner of the vote on the last round; none if no agent gave an answer.")
    votes: dict[str, int] = Field(
        description="Number of votes for each answer of the last round, the society's answer first. Equivalent answers "
        "are counted together, in the wording of the first; an agent without an answer has no vote, so the sum may be "
        "less than N."
    )
    consensus: float = Field(description="Share of all N agents that give the society's answer, in 0..1.")
    transcript: Sequence[Utterance] = Field(description="All responses, round by round, in the order of the agents.")


def problems_of(questions: Sequence[str]) -> list[Problem]:
    """The questions as problems.

    Raises:
        QuestionError: a question is blank, longer than MAX_QUESTION_CHARS, or not text; the message gives its number,
            counted from 1.
    """
    problems = []
    for place, question in enumerate(questions, start=1):
        try:
            # A problem must have a reference answer; no step of answering reads it.
            problems.append(Problem(question=question, answer="unknown"))
        except ValidationError as error:
            reason = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise QuestionError(f"question {place}: {reason}; it is {question!r:.80}") from error
    return problems


def answer(run: Run, card: Card, questions: Sequence[str], *, seed: int) -> list[Answer]:
    """The society's answer to every question, in the order of the questions; a repeated question is debated once.

    Args:
        run: the base models, the engine and the store; a `MemoryStore` is enough. Prompts and grader are the card's.
        card: the society that is asked, and how it debates.
        questions: any number of questions.
        seed: the root of every random choice. The same seed gives the same answers, whatever other questions the call
            has.

    Raises:
        QuestionError: see `problems_of`.
        EngineError: the vote needs likelihoods, which the engine cannot compute.
    """
    run, problems = replace(run, prompts=card.prompts, answers=card.answers), problems_of(questions)
    answers: dict[Problem, Answer] = {}
    for asked in _without_namesakes(problems):
        x = run.store.put_frame(problems_frame(asked))
        stream = Stream(seed=seed, purpose="evaluate", iteration=card.society.generation)
        y = hold_debate(run, card.society, x=x, settings=card, stream=stream)
        responses = dict(list(read_responses(run.store, y.responses).groupby("problem_id")))
        answers |= {problem: conclude(problem, responses[problem.id], seed, card.answers) for problem in asked}
    return [answers[problem] for problem in problems]


def _without_namesakes(problems: Sequence[Problem]) -> list[list[Problem]]:
    """The different problems in as few lists as possible, without two problems of the same id in one list.

    Questions that differ only in case or spacing have the same id.
    """
    lists: list[dict[str, Problem]] = []
    for problem in dict.fromkeys(problems):
        free = next((known for known in lists if problem.id not in known), None)
        if free is None:
            lists.append(free := {})
        free[problem.id] = problem
    return [list(known.values()) for known in lists]


def conclude(problem: Problem, responses: pd.DataFrame, seed: int, grader: Grader) -> Answer:
    """The vote of a finished debate, and the debate.

    Args:
        problem: the problem.
        responses: all responses to it, with the columns of `agents.debate.responses.COLUMNS`.
        seed: the seed of the debate, by which a tie is broken.
        grader: decides which answers are the same.
    """
    rounds = int(responses["round"].max())
    transcript = [
        Utterance(
            round=row.round,
            agent=f"{row.role}-{row.index}",
            read=text_or_none(row.summary),
            text=row.text,
            answer=text_or_none(row.answer),
        )
        for row in responses[~responses["carried"]].itertuples(index=False)
    ]
    ballots = responses[responses["round"] == rounds]
    last = [text_or_none(answer) for answer in ballots["answer"]]
    outcome = tally(last, vote_seed(seed, rounds, problem.id), ballots["weight"].tolist(), grader=grader)
    return Answer(
        question=problem.question,
        answer=outcome.answer,
        votes=_votes(last, outcome, grader),
        consensus=sum(outcome.agrees) / len(last),
        transcript=transcript,
    )


def _votes(answers: Sequence[str | None], outcome: Tally, grader: Grader) -> dict[str, int]:
    """The number of votes for each answer, the winner first."""
    votes = {outcome.answer: outcome.votes} if outcome.answer is not None else {}
    for answer, agrees in zip(answers, outcome.agrees, strict=True):
        if answer is not None and not agrees:
            known = next((other for other in votes if grader.equivalent(answer, other)), answer)
            votes[known] = votes.get(known, 0) + 1
    return votes
