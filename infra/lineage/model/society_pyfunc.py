"""A society as an MLflow model: MLflow runs this script to load the model.

`infra.lineage.model.save` copies the script into the model's folder, together with `agents` and `evaluation`; the
script imports nothing else of this project. The device and the batch size can be chosen at loading,
`mlflow.pyfunc.load_model(uri, model_config={"device": "cpu", "batch_rows": 50})`, and change no answer.
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
"""Names in the artifact `society`: the card, and the folders of adapters and local bases, each named by its SHA-256."""
QUESTION = "question"


class SocietyModel(PythonModel):
    """An MLflow model that takes questions and returns the society's answers after a debate."""

    def load_context(self, context: Any) -> None:
        """Load the base models, unless a service has them; an agent's adapter is read when the agent speaks.

        Raises:
            EngineError: the service's client or its key is missing.
            BaseModelError: a base model is missing on the hub where it should be.
        """
        # Imported late, since saving a model runs this script too and should not wait for torch.
        from agents import steps
        from agents.engines.transformers import TransformersSettings
        from agents.engines.transformers.resident import resident
        from agents.hosted.members import HostedAgents
        from agents.run import Run
        from agents.runners.local import Local

        self.folder = Path(context.artifacts["society"])
        self.card = Card.model_validate_json((self.folder / CARD).read_text("utf-8"))
        runner = Local(**context.model_config)
        bases = self._copies(self.card.bases)
        store = MemoryStore(self.folder / ADAPTERS)
        engine, hosted = self.card.engine or TransformersSettings(), None
        engine.check()
        if self.card.hosted:
            hosted, engine = HostedAgents(agents=self.card.hosted, engine=engine), TransformersSettings()
        self.run = Run(steps=steps, bases=bases, engine=engine, store=store, runner=runner, hosted=hosted)
        _, here = self.run.sides[0]
        if here.engine.in_process:
            self.loaded = resident(here.bases, runner, store.folders)
        self.turn = threading.Lock()

    def _copies(self, bases: Bases) -> Bases:
        """The base models, each named by its copy in the model's folder if there is one."""
        each = []
        for base in bases.each:
            copy = self.folder / BASES / base.sha256
            each.append(base.model_copy(update={"name": str(copy)}) if copy.is_dir() else base)
        return Bases(each=tuple(each))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Answer every question.

        Args:
            model_input: one column, `question`; if the input was a plain list, its column has no name.
            params: `seed` (default 0), which decides every random choice.

        Returns:
            One row per question with the columns of `agents.ask.Answer`, whose values are plain lists and dicts.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE; the first column has another name, or a question is blank, too
                long or not a text.
        """
        column = model_input.columns[0]
        if column not in (QUESTION, 0):
            raise MlflowException.invalid_parameter_value(
                f"the column of the questions must be named `{QUESTION}` and come first; the first is {column!r}"
            )
        seed = int((params or {}).get("seed", 0))
        # The server answers requests in threads, but only one may run, since an agent changes the base's weights.
        with self.turn:
            answers = self._ask(model_input[column].tolist(), seed)
        rows = [one.model_dump(mode="json") for one in answers]
        # With dtype object, a missing answer is None and not NaN, which JSON does not allow.
        return pd.DataFrame(rows, columns=list(Answer.model_fields), dtype="object")

    def _ask(self, questions: list[str], seed: int) -> list[Answer]:
        # Each call has its own store, since a shared one would keep the debates of all calls in memory.
        run = replace(self.run, store=MemoryStore(self.folder / ADAPTERS))
        try:
            return answer(run, self.card, questions, seed=seed)
        except QuestionError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error


set_model(SocietyModel())
