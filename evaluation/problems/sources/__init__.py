"""The sources of problems, one file each; `evaluation.problems.load` draws problems from them."""

from evaluation.problems.load import (
    OverlapError,
    ProblemSets,
    TooFewProblemsError,
    load_held_out,
    load_problems,
    load_transfer,
)

__all__ = ["OverlapError", "ProblemSets", "TooFewProblemsError", "load_held_out", "load_problems", "load_transfer"]
