"""A file for every source of problems; what is drawn from them is in `evaluation.problems.load`."""

from evaluation.problems.load import (
    OverlapError,
    ProblemSets,
    TooFewProblemsError,
    load_held_out,
    load_problems,
    load_transfer,
)

__all__ = ["OverlapError", "ProblemSets", "TooFewProblemsError", "load_held_out", "load_problems", "load_transfer"]
