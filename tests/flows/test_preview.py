"""`maft preview` and the flow `preview` on the model of `tests.brief_base`."""

import json
import re
from pathlib import Path

import pytest

from agents.preview.records import Preview
from tests.command import Forked
from tests.conftest import Maft, plain_environment


@pytest.fixture
def alone(tmp_path: Path) -> Maft:
    """The command `maft` in a home that no server runs for."""
    return Maft({**plain_environment(), "MAFT_HOME": str(tmp_path / "home")}, forked=True)


def test_a_preview_needs_no_server_and_leaves_nothing(alone: Maft, brief: list[str], tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    user = tmp_path / "user"
    maft = Maft({**alone.environment, "TMPDIR": str(temporary), "HOME": str(user)}, forked=True)
    found = Preview.model_validate(maft.json("preview", *brief, "--problems", "4"))
    assert not (tmp_path / "home").exists() and not list(temporary.iterdir()) and not user.exists()
    assert found.sample.problems == len(found.conversations) == 4
    assert found.forecast.debates == 2 * 10 + 3 * 8, "two iterations on 10 problems, three evaluations on 8"
    assert found.forecast.sampled_tokens == round(found.sample.sampled_tokens / 4 * 44)
    assert "<|assistant|>" in found.conversations[0].transcript[0].prompt
    assert any("champion" in note for note in found.notes)


def test_the_terminal_shows_conversations_and_the_forecast(alone: Maft, brief: list[str]) -> None:
    said = alone("preview", *brief).stdout
    assert re.search(r"problems +10 *\n", said), "all training problems, since they are few"
    assert said.count("the prompt, as the model reads it:") == 2 * 4
    assert "time in all" in said and "memory of the job's process" in said
    assert max(map(len, said.splitlines())) <= 80


def test_a_society_with_its_own_prompts_and_answers(alone: Maft, brief: list[str]) -> None:
    own = ["--set", "answers.kind=text", "--set", 'prompts.solve="Say it: {question}"', "--problems", "2"]
    found = Preview.model_validate(alone.json("preview", *brief, *own))
    turns = [turn for each in found.conversations for turn in each.transcript]
    assert len(turns) == 8 and all("Say it: Is card" in turn.prompt for turn in turns)
    assert not any("Solve the problem" in turn.prompt for turn in turns if turn.round == 1)


def test_what_run_refuses_is_refused(alone: Maft, brief: list[str], tmp_path: Path) -> None:
    process = alone("preview", *brief, "--set", "answers.kind=choice", status=2)
    assert re.search(r"problems.jsonl:1: the reference answer .* does not fit answers.kind choice", process.stderr)
    assert not (tmp_path / "home").exists()
    for count in ("0", "x", "1.5", "-1"):
        process = alone("preview", "--problems", count, status=2)
        assert f"'--problems': '{count}', but a whole number is needed, such as 20" in process.stderr


def test_a_registered_generation_is_previewed(maft: Maft, brief: list[str], tmp_path: Path) -> None:
    job = [*brief, "--set", "society=seen", "--set", "iterations=1", "--home", str(tmp_path / "home")]
    maft.json("run", *job)
    before = sorted((tmp_path / "home" / "artifacts").rglob("*"))
    found = Preview.model_validate(maft.json("preview", *job, "--set", "start_from=1", "--problems", "2"))
    assert found.generation == 1 and found.forecast.debates == 10 + 3 * 8, "the base is the champion, and is measured"
    assert sorted((tmp_path / "home" / "artifacts").rglob("*")) == before
    assert "there is no version 9" in maft("preview", *job, "--set", "start_from=9", status=2).stderr


def previewed(home: str, config: str) -> None:
    """Run the flow, and print its result and its artifact; runs in a new process."""
    from infra.cli.shared import serve

    serve(Path(home))
    from prefect.artifacts import Artifact

    from flows.preview import preview
    from infra.config.job import Config

    found = preview(Config.model_validate_json(config), 3)
    artifact = Artifact.get("brief-preview")
    print(json.dumps({"preview": found.model_dump(mode="json"), "page": artifact and artifact.data}))


def test_the_flow_makes_an_artifact(maft: Maft, brief_folder: Path, brief_problems: Path, tmp_path: Path) -> None:
    problems = {"train": str(brief_problems), "train_size": 10, "evaluation_size": 8}
    config = {"society": "brief", "base_model": str(brief_folder), "agents": 2, "problems": problems}
    process = Forked(maft.environment, previewed, str(tmp_path), json.dumps(config))
    said, err = process.communicate()
    assert process.returncode == 0, err
    result = json.loads(said.splitlines()[-1])
    found = Preview.model_validate(result["preview"])
    assert found.sample.problems == 3 and not any("champion" in note for note in found.notes)
    assert "time in all" in result["page"] and found.conversations[0].transcript[0].prompt in result["page"]
    assert not list((tmp_path / "artifacts").rglob("*.parquet")), "nothing is kept"


def test_a_grader_that_fails_is_one_line(
    alone: Maft, brief: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boom.py").write_text(
        "class Broken:\n    def extract(self, text): raise RuntimeError('boom')\n    def equivalent(self, a, b): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = ["--set", "answers.kind=custom", "--set", "answers.grader=boom:Broken", "--problems", "2"]
    process = alone("preview", *brief, *own, status=2)
    (line,) = (line for line in process.stderr.splitlines() if line.startswith("maft: "))
    assert line.startswith("maft: grader boom:Broken raised RuntimeError: boom in extract on '")
    assert "Traceback" not in process.stderr
