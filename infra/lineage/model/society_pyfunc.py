"""The society as an MLflow model: the script that a saved model carries and that MLflow runs to load it.

It lies in the model's folder beside copies of `agents` and `evaluation`, and imports nothing else of this project.
`infra.lineage.model.save` writes that folder. Where and in what portions it works can be chosen at loading,
`mlflow.pyfunc.load_model(uri, model_config={"device": "cpu", "batch_rows": 50})`, and changes no answer.
"""

import threading
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from agents.ask import Answer, QuestionError, answer
from agents.debate.settings import Rules
from agents.engines import base_model
from agents.engines.base_model import Bases
from agents.engines.protocol import Sampling
from agents.society import Society
from evaluation.record import Record

CARD = "society.json"
ADAPTERS = "adapters"
BASES = "bases"
"""What the artifact `society` holds: the card, adapters and bases under their SHA-256, but for bases on a hub."""
QUESTION = "question"


class Card(Record):
    """Who is in the society and how it debates; all that answering takes but the weights."""

    society: Society
    bases: Bases
    rules: Rules
    sampling: Sampling


class SocietyModel(PythonModel):
    """Questions in, debated answers out."""

    def load_context(self, context: Any) -> None:
        """Load the base models; adapters are read when their agent speaks.

        Raises:
            BaseModelError: a base is on a hub that does not have it.
        """
        # Saving runs this script too, and should not wait for torch.
        from agents.engines.transformers.engine import TransformersEngine
        from agents.engines.transformers.mixed import MixedEngine

        folder = Path(context.artifacts["society"])
        self.card = Card.model_validate_json((folder / CARD).read_text("utf-8"))
        runner = context.model_config
        engines = {}
        for base in dict.fromkeys(self.card.bases.each):
            copy = folder / BASES / base.sha256
            name = str(copy) if copy.is_dir() else base.name
            loaded = base_model.load(name, runner["device"], base.trust_remote_code)
            engines[base] = TransformersEngine(*loaded, adapters=folder / ADAPTERS, batch_rows=runner["batch_rows"])
        self.engine = MixedEngine(self.card.bases, engines)
        self.turn = threading.Lock()

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
        card = self.card
        try:
            return answer(self.engine, card.society, questions, card.rules, card.sampling, seed)
        except QuestionError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(SocietyModel())
