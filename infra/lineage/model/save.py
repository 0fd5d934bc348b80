"""Writes a society as an MLflow model folder, which answers questions wherever MLflow runs.

MLmodel, requirements.txt, ...     MLflow's own files
society_pyfunc.py                  the script that loads the model; no file is a pickle
code/                              copies of the packages agents and evaluation, without the embedded weights, and
                                   the module of a grader of the user's own
artifacts/society/society.json     the adapter of each agent, and the settings of the debate
artifacts/society/adapters/SHA/    each adapter once: as PEFT saved it, or where a service keeps it
artifacts/society/bases/SHA/       each base model once, except those on a hub, which are named and not copied
"""

import shutil
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING

import agents
import evaluation
from agents.ask import Card
from agents.engines import base_model
from agents.engines.base_model import Base
from agents.hosted.adapter import adapter_files
from infra.errors import UserError

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

SCRIPT = Path(__file__).with_name("society_pyfunc.py")
NEEDS = {"torch", "transformers", "peft", "safetensors", "mlflow", "pandas", "pydantic"}
NEEDS |= {"psutil", "math-verify", "jsonschema", "referencing"}
"""The project's requirements that `agents` and `evaluation` need to answer questions."""
BASE_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
"""The files of a base model's folder that are copied; weights in a pickle are not."""
EXAMPLE = ["What is the result of 12+7*3+10-5*2?"]


def save(folder: Path, name: str, card: Card, *, adapters: Path) -> None:
    """Write the model's folder.

    Args:
        folder: the folder to write; it must not exist, or be empty. Use a temporary folder, since a killed call leaves
            it incomplete.
        name: name of the society.
        card: the society's agents, base models and settings of the debate. Base models on a hub are named in the
            model; local ones, such as the embedded one, are copied into it.
        adapters: the folder that holds each adapter's folder, named by its SHA-256.

    Raises:
        UserError: a base model has changed since the society was made.
        FileNotFoundError: an adapter is missing.
    """
    from mlflow.pyfunc import save_model

    from infra.lineage.model.society_pyfunc import ADAPTERS, BASES, CARD

    society, bases = card.society, card.bases
    with TemporaryDirectory() as temporary:
        content, code = Path(temporary, "society"), Path(temporary, "code")
        content.mkdir()
        for sha256 in dict.fromkeys(agent.adapter for agent in society.agents if agent.adapter):
            (content / ADAPTERS / sha256).mkdir(parents=True)
            for file in adapter_files(adapters / sha256):
                shutil.copyfile(file, content / ADAPTERS / sha256 / file.name)
        for base in {base.sha256: base for base in bases.each}.values():
            _copy_base(base, content / BASES / base.sha256)
        (content / CARD).write_text(card.model_dump_json(indent=2), "utf-8")
        save_model(
            folder,
            python_model=SCRIPT,
            artifacts={"society": str(content)},
            code_paths=[
                *(str(_copy_code(package, code)) for package in (agents, evaluation)),
                *map(str, card.answers.code()),
            ],
            signature=_signature(),
            input_example=EXAMPLE,
            pip_requirements=_requirements(card.engine.name if card.engine else None),
            # Otherwise MLflow takes a uv project in the user's working folder for the model's.
            uv_project_path=temporary,
            model_config={"device": "auto", "batch_rows": 200},
            metadata={
                "society": name,
                "generation": society.generation,
                "base_model": bases.name,
                "base_model_sha256": bases.sha256,
            },
        )


def _copy_base(base: Base, target: Path) -> None:
    source = base_model.locate(base.name)
    if source is None:
        return
    target.mkdir(parents=True)
    patterns = (*BASE_FILES, "*.py") if base.trust_remote_code else BASE_FILES
    for file in (file for pattern in patterns for file in source.glob(pattern)):
        shutil.copyfile(file, target / file.name)
    found = base_model.digest(str(target), base.trust_remote_code)
    if found != base.sha256:
        raise UserError(
            f"base_model: {base.name!r} has digest {found[:12]}, but its society was made with {base.sha256[:12]}; "
            "put the former base model back, or train another society on the new one"
        )


def _copy_code(package: ModuleType, target: Path) -> Path:
    """Copy a package's Python source, without the embedded weights; if these are the base, `_copy_base` copies them."""
    copied = target / package.__name__
    others = shutil.ignore_patterns("__pycache__", "embedded", "*.html", "*.css", "py.typed")
    shutil.copytree(Path(str(package.__file__)).parent, copied, ignore=others)
    return copied


def _requirements(engine: str | None) -> list[str]:
    """The requirements in NEEDS, with the versions of pyproject.toml, from the installed project's metadata.

    Args:
        engine: the engine of a society whose weights are at a service; what its extra of the same name has comes too.
    """
    from packaging.requirements import Requirement

    stated = [Requirement(line) for line in requires("maft") or []]
    needed = [each for each in stated if each.name in NEEDS]
    for each in stated:
        if (
            engine
            and each.marker
            and each.marker.evaluate({"extra": engine})
            and not each.marker.evaluate({"extra": ""})
        ):
            each.marker = None
            needed.append(each)
    return sorted(map(str, needed))


def _signature() -> "ModelSignature":
    """The input and output columns that MLflow shows. The input has no name, so it may be a plain list of questions."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map, Object, Property

    turn = [Property("round", DataType.long), Property("agent", DataType.string), Property("text", DataType.string)]
    turn += [Property("read", DataType.string, required=False), Property("answer", DataType.string, required=False)]
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string)]),
        outputs=Schema(
            [
                ColSpec(DataType.string, "question"),
                ColSpec(DataType.string, "answer", required=False),
                ColSpec(Map(DataType.long), "votes"),
                ColSpec(DataType.double, "consensus"),
                ColSpec(Array(Object(turn)), "transcript"),
            ]
        ),
        params=ParamSchema([ParamSpec("seed", DataType.long, 0)]),
    )
