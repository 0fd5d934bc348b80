"""The scores of one benchmark method after one iteration under one seed, and what they took."""

from collections.abc import Sequence

import pandas as pd

from agents.evaluate import training_shares
from agents.frames import read_problems, read_responses
from agents.records import Learned, Transcript, fallback_share
from agents.run import Run
from agents.society import Society
from agents.store import Artifact, Store
from evaluation.benchmark.methods import METHODS, MethodName
from evaluation.benchmark.results import Cost, Outcome, Scored, changes, problem_values
from evaluation.measures.debates import response_shares, score_debate
from evaluation.measures.diversity import Diversity
from evaluation.record import Record


class MethodScore(Record):
    """An outcome, its agents, and its values by problem: a frame with the columns problem_id, right, alone."""

    outcome: Outcome
    values: Artifact
    society: Society
    problems: Artifact
    answered: list[Artifact]
    """The responses to the problems, by round."""

    def scored(self, store: Store) -> Scored:
        """The outcome with its values, read from the store."""
        frame = store.frame(self.values)
        right, alone = (dict(zip(frame["problem_id"], frame[name], strict=True)) for name in ("right", "alone"))
        return Scored(self.outcome, right=right, alone=alone)


class Place(Record):
    """The method, the iteration and the kind of problems of an outcome."""

    method: MethodName
    iteration: int
    transfer: bool = False
    """Whether the problems are of another kind than the training problems."""


def score_method(
    run: Run,
    society: Society,
    *,
    place: Place,
    debates: Sequence[Transcript],
    made: tuple[Learned | None, Diversity | None] = (None, None),
) -> MethodScore:
    """Score the method's answers to the held-out problems.

    Args:
        run: the store.
        society: the agents that answered.
        place: which method, iteration and kind of problems.
        debates: the society's debate over the problems, or several debates by agents with different indices.
        made: how this iteration learned, and the diversity of the agents, if it was measured. How it learned is None
        before the first iteration, and for problems of another kind, so that training is not counted twice.
    """
    learned, diversity = made
    store, method = run.store, METHODS[place.method]
    problems, seed = debates[0].problems, debates[0].stream.seed
    rounds = [each for debate in debates for each in debate.rounds]
    answered = [each.responses for each in rounds]
    responses = read_responses(store, answered)
    asked = read_problems(store, problems)
    right, alone = problem_values(asked, responses, seed, method.answers, grader=run.answers)
    frame = pd.DataFrame({"problem_id": list(right), "right": list(right.values()), "alone": list(alone.values())})
    sampled, tuned = (learned.sampled, learned.tuned) if learned else ((), [])
    outcome = Outcome(
        method=place.method,
        iteration=place.iteration,
        seed=seed,
        problems=len(frame),
        transfer=place.transfer,
        accuracy=float(frame["right"].mean()),
        alone=float(frame["alone"].mean()),
        pseudo_label_accuracy=learned.consensus.kept_accuracy if learned else None,
        labels=learned.consensus.kept if learned else 0,
        examples=sum(each.examples for each in tuned),
        unchanged=[each.agent.name for each in tuned if each.adapter is None],
        fallback_share=fallback_share([*sampled, *rounds]),
        **response_shares(responses).model_dump(),
        training_responses=training_shares(store, learned),
        training=Cost(
            sampled_tokens=sum(each.sampled_tokens for each in sampled),
            trained_tokens=sum(each.trained_tokens for each in tuned),
            seconds=sum(each.seconds for each in sampled) + sum(each.seconds for each in tuned),
        ),
        answering=Cost(
            sampled_tokens=sum(each.sampled_tokens for each in rounds),
            seconds=sum(each.seconds for each in rounds),
        ),
        diversity=diversity,
        rounds=[] if method.matched else score_debate(asked, responses, seed, grader=run.answers).rounds,
        changes=changes(asked, responses, grader=run.answers),
    )
    return MethodScore(
        outcome=outcome, values=store.put_frame(frame), society=society, problems=problems, answered=answered
    )
