"""Societies in the registry of a real MLflow server: one version per generation, even after a kill at any write."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from agents.engines.base_model import Base, Bases
from agents.society import Society
from infra.errors import UserError
from infra.lineage.agents import RegisteredAdapter, model_name
from infra.lineage.client import client
from infra.lineage.contents import log_datasets
from infra.lineage.pages import TABLE_CHARS, plain, society_page
from infra.lineage.records import DatasetRef, JobRun
from infra.lineage.scores import log_scores
from infra.lineage.societies import (
    SocietyVersion,
    find_society,
    list_societies,
    next_generation,
    register_society,
    update_page,
)
from tests.infra.lineage_samples import EVALUATION, a_job, registered, some_scores, there
from tests.infra.test_lineage_killed import killed_at_every_write

SCRIPT = """
from pathlib import Path
import mlflow, pandas as pd

class Echo(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        word = Path(context.artifacts["words"], "deep", "word.txt").read_text()
        return pd.DataFrame({"answer": [f"{word} {question}" for question in model_input]})

mlflow.models.set_model(Echo())
"""

BASES = Bases(
    each=(Base(name="embedded", sha256="b" * 64, dtype="bfloat16", chat_template=(("enable_thinking", False),)),)
)


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow model made from code, with nested folders."""
    from mlflow.pyfunc import save_model

    folder = tmp_path_factory.mktemp("echo")
    (folder / "words" / "deep").mkdir(parents=True)
    (folder / "words" / "deep" / "word.txt").write_text("so")
    (folder / "script.py").write_text(SCRIPT)
    save_model(
        folder / "model",
        python_model=str(folder / "script.py"),
        artifacts={"words": str(folder / "words")},
        pip_requirements=[],
    )
    return folder / "model"


def bare(tmp_path: Path) -> Path:
    """A folder that passes as an MLflow model until somebody loads it."""
    folder = tmp_path / "model"
    (folder / "code").mkdir(parents=True)
    (folder / "MLmodel").write_text("flavors: {}\n")
    (folder / "code" / "script.py").write_text("pass\n")
    return folder


def a_generation(
    job: JobRun, generation: int, folder: Path, parent: SocietyVersion | None = None, n: int = 1, adapter: str = "a"
) -> SocietyVersion:
    """Register a society and its agents without files; only the society's tags name their adapters."""
    agents, society = _agents(job, generation, parent, n, adapter)
    return _register(job, society, agents, folder, parent)


def _agents(
    job: JobRun, generation: int, parent: SocietyVersion | None, n: int, adapter: str = "a"
) -> tuple[dict[str, RegisteredAdapter], Society]:
    untuned = Society.untuned(n)
    versions = {}
    for agent in untuned.agents:
        old = parent.agent_versions.get(agent.name) if parent else None
        before = old and RegisteredAdapter(name=agent.name, version=old, model_id="", run_id="")
        versions[agent.name] = registered(job, generation, agent, None, parent=before or None)
    generators = [agent.model_copy(update={"adapter": adapter * 64}) for agent in untuned.generators]
    return versions, Society(generation=generation, generators=generators, critics=untuned.critics)


def _register(
    job: JobRun,
    society: Society,
    agents: dict[str, RegisteredAdapter],
    folder: Path,
    parent: SocietyVersion | None = None,
) -> SocietyVersion:
    return register_society(
        job,
        society,
        agents,
        parent_version=parent.version if parent else None,
        bases=BASES,
        model_folder=folder,
        description="as good as it gets.",
    )


def aliases(name: str, alias: str, agents: int = 2) -> dict[str, str]:
    """The versions that have an alias: of the society's model under the key "", of its agents' models by name."""
    names = [agent.name for agent in Society.untuned(agents).agents]
    found = {"": client().get_registered_model(name).aliases.get(alias)}
    for model in client().search_registered_models(f"name LIKE '{name}-%'"):
        found |= {agent: model.aliases.get(alias) for agent in names if model.name == model_name(name, agent)}
    return {agent: str(version) for agent, version in found.items() if version}


def everywhere(version: SocietyVersion | None) -> dict[str, str]:
    """The result of `aliases` if the society and all its agents have the alias at this version."""
    return {"": version.version, **version.agent_versions} if version else {}


def row(page: str, version: str) -> list[str]:
    """The cells of a version in the table on its society's page."""
    (line,) = (line for line in page.splitlines() if line.startswith(f"| [{version}]("))
    return [cell.replace("&ensp;", "").strip() for cell in line.strip("|").split("|")]


def test_a_society_is_registered_once_and_answers(tracking: str, echo: Path, tmp_path: Path) -> None:
    import mlflow

    job = a_job("solo")
    log_datasets(job.run_id, [DatasetRef(name="train", sha256="d" * 64, rows=9, source="arithmetic"), EVALUATION])
    agents, society = _agents(job, 1, None, n=2)
    log_scores(job, some_scores(1, accuracy=0.9533, standard_error=0.012), agents)
    first = _register(job, society, agents, echo)
    assert _register(job, society, agents, echo) == first
    assert (first.name, first.version, first.generation, first.society) == ("solo", "1", 1, society)
    assert first.agent_versions == {"generator-0": "1", "generator-1": "1", "critic-0": "1", "critic-1": "1"}
    assert first.bases == BASES
    client().delete_model_version_tag("solo", "1", "bases")
    earlier = find_society("solo", "1")
    assert earlier is not None, "a version of an earlier maft has only names and digests"
    assert earlier.bases == Bases(each=(Base(name="embedded", sha256="b" * 64),))
    second = a_generation(job, 2, echo, parent=first, n=2, adapter="c")
    assert [version.version for version in client().search_model_versions("name = 'solo'")] == ["2", "1"]

    tags = client().get_model_version("solo", "2").tags
    assert (tags["generation"], tags["job"], tags["parent_version"], tags["base_model"]) == (
        "2",
        "job-a",
        "1",
        "embedded",
    )
    assert json.loads(tags["agents"])["generator-1"] == {"version": "2", "adapter_sha256": "c" * 64}
    assert json.loads(tags["agents"])["critic-0"] == {"version": "2", "adapter_sha256": None}
    assert client().get_model_version("solo", "1").tags["accuracy"] == "0.9533"
    run = client().get_run(second.run_id)
    assert run.data.tags["maft.generation"] == "2"
    assert [model.model_id for model in there(run.inputs).model_inputs] == [first.model_id]
    assert [model.model_id for model in there(run.outputs).model_outputs] == [second.model_id]
    assert str(client().get_logged_model(second.model_id).status) == "READY"

    model = mlflow.pyfunc.load_model("models:/solo/2", dst_path=str(tmp_path))
    assert model.predict(["what", "now"])["answer"].tolist() == ["so what", "so now"]


def test_societies_are_found_by_alias_and_version(tracking: str, tmp_path: Path) -> None:
    folder = bare(tmp_path)
    assert find_society("nobody", "candidate") is None
    assert (list_societies("nobody"), next_generation("nobody")) == ([], 1)
    assert find_society("no/body'", "1") is None
    for which in ("best", "0", "-1", "²", "9" * 30):
        with pytest.raises(UserError, match=f"generation is '{which}'; it must be champion, candidate or the number"):
            find_society("found", which)

    job = a_job("found")
    first = a_generation(job, 4, folder)
    second = a_generation(job, 5, folder, parent=first)
    assert find_society("found", "1") == first
    assert find_society("found", "2") == find_society("found", "candidate") == second
    assert find_society("found", "champion") is find_society("found", "3") is find_society("found", "999999999") is None
    assert list_societies("found") == [first, second]
    assert next_generation("found") == 6
    assert find_society("found-critic-0", "1") is None
    assert list_societies("found-critic-0") == []


def test_the_candidate_is_the_newest_version_on_the_society_and_all_its_agents(tracking: str, tmp_path: Path) -> None:
    folder = bare(tmp_path)
    job = a_job("newest")
    first = a_generation(job, 1, folder)
    assert aliases("newest", "candidate") == everywhere(first)
    second = a_generation(job, 2, folder, n=2)
    assert aliases("newest", "candidate") == everywhere(second)
    assert a_generation(job, 1, folder) == first  # The job was started again.
    assert aliases("newest", "candidate") == everywhere(second)
    fresh = a_generation(a_job("newest", "job-b"), 1, folder)  # This is another job, from the base, with fewer agents.
    assert (fresh.version, fresh.generation, next_generation("newest")) == ("3", 1, 3)
    assert aliases("newest", "candidate") == everywhere(fresh) == {"": "3", "generator-0": "3", "critic-0": "3"}


def test_pages_lead_to_parents_runs_and_models(tracking: str, tmp_path: Path) -> None:
    folder = bare(tmp_path)
    job = a_job("pages")
    log_datasets(job.run_id, [EVALUATION])
    agents, society = _agents(job, 1, None, n=1)
    log_scores(job, some_scores(1, accuracy=0.9533, standard_error=0.012), agents)
    first = _register(job, society, agents, folder)
    second = a_generation(job, 2, folder, parent=first)
    client().set_model_version_tag("pages", "2", "verdict", "tie | <b>")
    update_page("pages")
    page = client().get_registered_model("pages").description
    newest, oldest = row(page, "2"), row(page, "1")
    assert newest[:3] == ["[2](#/models/pages/versions/2)", "2", "[1](#/models/pages/versions/1)"]
    assert newest[3:] == ["", "tie &#124; &#60;b&#62;", "`candidate`"]
    assert oldest == ["[1](#/models/pages/versions/1)", "1", "base", "95.3 % ± 1.2", "", ""]

    page = client().get_model_version("pages", "2").description
    at, among = f"#/experiments/{job.experiment_id}", "?workflowType=machine_learning"
    compared = quote(json.dumps([second.run_id, first.run_id], separators=(",", ":")))
    assert page.startswith(
        "Generation 2: as good as it gets.\n\n- comparison: [this generation and its parent, on the same problems]"
        f"(#/compare-runs?runs={compared}&experiments={quote(json.dumps([job.experiment_id]))})\n"
        "- parent: [version 1](#/models/pages/versions/1)\n"
    )
    assert "[critic-0 version 2](#/models/pages-critic-0/versions/2)" in page
    assert f"evaluation `{EVALUATION.digest}`" in page
    assert f"]({at}/runs/{second.run_id}{among})" in page
    assert f"]({at}/models/{second.model_id}{among})" in page
    assert (
        f"- parent: the base model embedded, SHA-256 `{'b' * 64}`"
        in client().get_model_version("pages", "1").description
    )


def test_a_page_fits_any_database_however_many_generations_there_are() -> None:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.entities.model_registry.model_version_tag import ModelVersionTag
    from mlflow.entities.model_registry.registered_model_tag import RegisteredModelTag

    name = "s" * 41
    move = {"at": "2030-01-01T00:00:00+00:00", "source": "1", "target": None, "who": "x", "why": "<|" * 400}
    tags = [RegisteredModelTag(f"champion.move.{n:04d}", json.dumps({**move, "who": f"w{n}"})) for n in range(300)]
    versions = [
        ModelVersion(name, str(n), 0, tags=[ModelVersionTag("generation", "1"), ModelVersionTag("parent_version", "1")])
        for n in range(1000, 0, -1)
    ]
    page = society_page(RegisteredModel(name, tags=tags), versions)
    assert len(page) < 2 * TABLE_CHARS + 300 < 5000
    assert "versions/1000)" in page
    assert "w299" in page
    assert page.count("older ones") == 2


def test_what_people_write_stays_text() -> None:
    text = plain("a | b\n[x](#/evil) <img src=x> @me https://x.example `c` **d** _e_ é, 97.0 % + 1-2")
    assert not set("|[]()<>@:/`*_\n") & set(text)
    assert text.startswith("a &#124; b &#91;x&#93;")
    assert text.endswith("é, 97.0 % + 1-2")


def test_a_folder_that_is_no_model_leaves_nothing(tracking: str, tmp_path: Path) -> None:
    job = a_job("folder")
    with pytest.raises(FileNotFoundError, match="MLmodel is missing"):
        a_generation(job, 1, tmp_path)
    assert list_societies("folder") == []
    assert find_society("folder", "candidate") is None


def _register_again(k: int, folder: Path) -> None:
    """Register a generation for each k, with the agents' versions 1 and 2 in turn."""
    job = a_job("reaped")
    agents, society = _agents(job, 1 + k % 2, None, n=1)
    version = _register(job, society.model_copy(update={"generation": k}), agents, folder)
    assert aliases("reaped", "candidate") == everywhere(version)
    page = client().get_registered_model("reaped").description
    assert row(page, version.version)[1:] == [str(k), "base", "", "", "`candidate`"]


def test_a_society_killed_at_any_write_is_there_once(tracking: str, tmp_path: Path) -> None:
    job = a_job("reaped")
    for generation in (1, 2):
        _agents(job, generation, None, n=1)
    writes = killed_at_every_write(_register_again, bare(tmp_path))
    assert writes > 12
    versions = list_societies("reaped")
    assert [version.generation for version in versions] == list(range(1, writes + 1))
    models = client().search_logged_models([job.experiment_id], "name LIKE 'reaped-generation-%'")
    assert {model.model_id for model in models} == {version.model_id for version in versions}
    assert {str(model.status) for model in models} == {"READY"}
    for version in versions:
        outputs = there(client().get_run(version.run_id).outputs).model_outputs
        assert [output.model_id for output in outputs] == [version.model_id]
        assert {file.path for file in client().list_logged_model_artifacts(version.model_id)} == {"MLmodel", "code"}
