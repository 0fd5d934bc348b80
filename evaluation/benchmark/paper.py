"""Accuracies that the paper reports, in percent, to compare a benchmark with (arXiv 2501.05707)."""

from collections.abc import Mapping
from typing import Literal

from evaluation.benchmark.methods import MethodName

Source = Literal["arithmetic", "GSM", "MATH"]
Accuracies = tuple[float | None, ...]
"""An accuracy for each of MODELS; None if the paper has none."""

MODELS = ("GPT-3.5", "Phi-3 4B", "Mistral 7B", "LLaMA-3 8B")

TABLE_1: Mapping[MethodName, Mapping[Source, Accuracies]] = {
    "base": {
        "arithmetic": (81.99, 88.3, 10.8, 43.2),
        "GSM": (75.6, 81.2, 35.6, 75.0),
        "MATH": (46.83, 45.6, 16.6, 46.8),
    },
    "majority": {
        "arithmetic": (94.4, 91.8, 14.8, 45.8),
        "GSM": (81.2, 81.8, 41.8, 76.4),
        "MATH": (51.4, 47.2, 16.8, 47.2),
    },
    "debate": {
        "arithmetic": (98.21, 96.2, 19.6, 48.4),
        "GSM": (83.3, 84.4, 52.6, 78.4),
        "MATH": (55.73, 53.4, 18.2, 51.6),
    },
    "star": {
        "arithmetic": (98.38, 94.8, 17.4, None),
        "GSM": (83.6, 85.8, 45.5, None),
        "MATH": (53.0, 51.8, 17.84, None),
    },
    "majority-ft": {
        "arithmetic": (98.4, 93.8, 16.4, 49.2),
        "GSM": (83.7, 82.2, 44.6, 77.2),
        "MATH": (53.4, 48.6, 18.91, 52.2),
    },
    "multiagent-ft": {
        "arithmetic": (99.62, 99.4, 22.6, 52.0),
        "GSM": (85.6, 88.6, 58.4, 88.6),
        "MATH": (60.6, 58.8, 22.5, 57.4),
    },
}
"""Accuracies after one iteration."""

TABLE_2: Mapping[MethodName, Accuracies] = {
    "single-ft": (48.9, 50.2, 17.2, 48.8),
    "single-ft-debate": (56.8, 56.8, 19.2, 52.4),
    "without-summary": (51.7, 55.0, 20.2, 51.6),
    "without-critics": (50.8, 56.6, 19.0, 50.5),
}
"""Ablations, after one iteration, on MATH alone."""

FIGURE_5: Mapping[str, Mapping[MethodName, tuple[float, ...]]] = {
    "Phi-3 4B": {"multiagent-ft": (58.8, 61.4, 63.6, 65.2, 66.0), "single-ft": (50.2, 51.4, 51.6, 47.8, 45.4)},
    "LLaMA-3 8B": {"multiagent-ft": (57.4, 61.2, 62.8, 66.0, 67.0), "single-ft": (52.2, 54.6, 53.0, 52.2, 52.0)},
}
"""On MATH after iterations 1 to 5, read off the plot."""


def accuracies(method: MethodName, source: Source) -> tuple[Source, Accuracies] | None:
    """The paper's accuracies of a method, and their problems: `source`, or MATH if the paper has no others."""
    if method in TABLE_1:
        return source, TABLE_1[method][source]
    return ("MATH", TABLE_2[method]) if method in TABLE_2 else None


def nearest(problems: str) -> Source:
    """The paper's problems that are most like our problems, such as arithmetic or hub:openai/gsm8k:main:train."""
    name = problems.lower()
    return "arithmetic" if name == "arithmetic" else "GSM" if "gsm" in name else "MATH"
