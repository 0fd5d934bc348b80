"""Did the candidate beat the champion? McNemar's exact test over the same problems.

Problems that both answer rightly or both wrongly say nothing about which is better. Of the others, the candidate wins b
(only it is right) and loses c (only the champion is right). If the two are equally good, it wins each with probability
1/2; p is the probability of a split at least as uneven as the observed one, in either direction.

Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
Psychometrika 12 (1947) 153-157; the exact form: A. Agresti, "Categorical Data Analysis", 3rd ed. (2013), section 11.1.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from evaluation.record import Record
from evaluation.statistics.paired import difference

Verdict = Literal["gain", "tie", "loss"]

_SAYING = {"gain": "beats", "tie": "does not differ from", "loss": "loses to"}


class Comparison(Record):
    """Two societies on the same problems; accuracies and their difference are shares in 0..1."""

    problems: int = Field(ge=1)
    candidate_accuracy: float
    champion_accuracy: float
    wins: int = Field(ge=0, description="b: problems that the candidate has right and the champion wrong.")
    losses: int = Field(ge=0, description="c: problems that the candidate has wrong and the champion right.")
    p: float = Field(ge=0, le=1, description="Two-sided p-value of McNemar's exact test; 1 without wins and losses.")
    difference: float = Field(description="Accuracy of the candidate minus that of the champion.")
    standard_error: float = Field(description="Standard error of the difference, paired by problem.")
    level: float = Field(gt=0, lt=1, description="Level of significance: p must be below it for a gain or a loss.")
    verdict: Verdict

    def describe(self, candidate: str, champion: str) -> str:
        """One line for people, such as: generation 3 beats generation 2: 97.0 % against 95.3 %, 9 problems won, ...

        Args:
            candidate: name of the candidate, such as generation 3.
            champion: name of the champion.
        """
        accuracies = f"{100 * self.candidate_accuracy:.1f} % against {100 * self.champion_accuracy:.1f} %"
        count = f"{self.wins} problem{'' if self.wins == 1 else 's'} won, {self.losses} lost"
        test = f"p = {self.p:.3g} (exact McNemar, level {self.level:g})"
        return f"{candidate} {_SAYING[self.verdict]} {champion}: {accuracies}, {count}, {test}"


def compare(candidate: Sequence[bool], champion: Sequence[bool], level: float) -> Comparison:
    """Compare two societies: candidate[i] and champion[i] say whether each has problem i right.

    Args:
        level: the verdict is a gain or a loss only if p is below it, 0 < level < 1.

    Raises:
        ValueError: the two differ in length or are empty, or the level is out of range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; a level of significance is above 0 and below 1, such as 0.05")
    gain, standard_error = difference(candidate, champion)
    wins = sum(ours and not theirs for ours, theirs in zip(candidate, champion, strict=True))
    losses = sum(theirs and not ours for ours, theirs in zip(candidate, champion, strict=True))
    p = p_value(wins, losses)
    verdict: Verdict = "tie"
    if p < level:
        verdict = "gain" if wins > losses else "loss"
    return Comparison(
        problems=len(candidate),
        candidate_accuracy=sum(map(bool, candidate)) / len(candidate),
        champion_accuracy=sum(map(bool, champion)) / len(champion),
        wins=wins,
        losses=losses,
        p=p,
        difference=gain,
        standard_error=standard_error,
        level=level,
        verdict=verdict,
    )


def p_value(wins: int, losses: int) -> float:
    """min(1, 2 P(X <= min(b, c))) for X binomial with n = b + c and probability 1/2; 1 if both counts are 0.

    Raises:
        ValueError: a count is negative.
    """
    if min(wins, losses) < 0:
        raise ValueError(f"{wins} wins and {losses} losses; neither can be negative")
    if wins == losses == 0:
        return 1.0
    # Not at the top: scipy.stats takes a second to load, and only a comparison needs it.
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue)
