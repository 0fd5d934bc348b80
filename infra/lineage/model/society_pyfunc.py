"""The society as an MLflow model: the script that a saved model carries and that MLflow runs to load it.

It lies in the model's folder beside copies of `agents` and `evaluation`, and imports nothing else of this project.
`infra.lineage.model.save` writes that folder. Where and in what portions it works can be chosen at loading,
`mlflow.pyfunc.load_model(uri, model_config={"device": "cpu", "batch_rows": 50})`, and changes no answer.
"""

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from agents.ask import Answer, Card, QuestionError, answer
from agents.engines.base_model import Bases
from agents.store import MemoryStore

CARD = "society.json"
ADAPTERS = "adapters"
BASES = "bases"
"""What the artifact `society` holds: the card, adapters and bases under their SHA-256, but for bases on a hub."""
QUESTION = "question"


class SocietyModel(PythonModel):
    """Questions in, debated answers out."""

    def load_context(self, context: Any) -> None:
        """Load the base models; adapters are read when their agent speaks.

        Raises:
            BaseModelError: a base is on a hub that does not have it.
        """
        # Saving runs this script too, and should not wait for torch.
        from agents import steps
        from agents.engines.transformers import TransformersSettings
        from agents.engines.transformers.resident import resident
        from agents.run import Run, Runner

        self.folder = Path(context.artifacts["society"])
        self.card = Card.model_validate_json((self.folder / CARD).read_text("utf-8"))
        runner = Runner(**context.model_config)
        bases = self._copies(self.card.bases)
        store = MemoryStore(self.folder / ADAPTERS)
        self.run = Run(steps=steps, bases=bases, engine=TransformersSettings(), store=store, runner=runner)
        self.loaded = resident(bases, runner, store.folders)
        self.turn = threading.Lock()

    def _copies(self, bases: Bases) -> Bases:
        """The same bases by the folders that the model has them in."""
        each = []
        for base in bases.each:
            copy = self.folder / BASES / base.sha256
            each.append(base.model_copy(update={"name": str(copy)}) if copy.is_dir() else base)
        return Bases(each=tuple(each))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer every question.

        Args:
            model_input: one column, `question`; the column of a bare list has no name.
            params: `seed` (default 0), of every random choice.

        Returns:
            A row per question with the columns of `agents.ask.Answer`, plain lists and dicts in them.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE, another column, or a question that is blank, too long or no text.
        """
        column = model_input.columns[0]
        if column not in (QUESTION, 0):
            raise MlflowException.invalid_parameter_value(
                f"the column of the questions must be named `{QUESTION}` and come first; the first is {column!r}"
            )
        seed = int((params or {}).get("seed", 0))
        # The server answers requests in threads, and an agent speaks by changing the weights of its base.
        with self.turn:
            answers = self._ask(model_input[column].tolist(), seed)
        rows = [one.model_dump(mode="json") for one in answers]
        # As objects: a missing answer is then None, not NaN, which JSON does not have.
        return pd.DataFrame(rows, columns=list(Answer.model_fields), dtype="object")

    def _ask(self, questions: list[str], seed: int) -> list[Answer]:
        # A store for this call alone, or what was said would be kept for ever.
        run = replace(self.run, store=MemoryStore(self.folder / ADAPTERS))
        try:
            return answer(run, self.card, questions, seed=seed)
        except QuestionError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(SocietyModel())
