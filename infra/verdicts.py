"""What the promotion gate found, as tags of the society's version that was judged."""

from evaluation.mcnemar import Comparison
from infra.lineage import client
from infra.societies import describe


def record(name: str, version: str, champion: str | None, comparison: Comparison, text: str) -> None:
    """Write a verdict down; `verdict` comes last, since it is what says that the rest is there.

    Args:
        name: of the society.
        version: of its registered model, the one that was judged.
        champion: the version that it was compared with; None for the untuned base.
        comparison: the test and its numbers.
        text: one sentence for people.
    """
    mlflow = client()
    numbers = {f"gate.{key}": str(value) for key, value in comparison.model_dump().items() if key != "verdict"}
    for key, value in {**numbers, "gate.champion": champion or "base", "gate.text": text}.items():
        mlflow.set_model_version_tag(name, version, key, value)
    mlflow.set_model_version_tag(name, version, "verdict", comparison.verdict)
    describe(name)


def given(name: str, version: str) -> bool:
    """Whether this version was judged already."""
    return "verdict" in client().get_model_version(name, version).tags
