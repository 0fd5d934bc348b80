"""A fault of a config names where it was given, by --set or in the file, and what would be right."""

import sys
from pathlib import Path

import pytest

from infra.config.file import load_config
from infra.errors import UserError

FILE = """\
answers:
  kind: choice
  labels: [a, b]
finetune:
  min_votes: 2
agents: 3
"""


@pytest.fixture(autouse=True)
def graders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = "    def extract(self, text): ...\n    def equivalent(self, a, b): ...\n"
    (tmp_path / "parity.py").write_text(f"class Even:\n    def __init__(self, of=2): 1 / of\n{own}")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("parity", "broken"):
        sys.modules.pop(name, None)


def refused(tmp_path: Path, text: str, *assignments: str) -> str:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(file, list(assignments))
    return str(caught.value).replace(f"{file}", "job.yaml")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (["answers.labels=[a]"], "--set answers.labels=[a]: answers.labels is ['a'], but needs at least 2"),
        (
            ["answers.labels=[a, A]"],
            "--set answers.labels=[a, A]: answers.labels is ['a', 'A'], but the labels 'a' and 'A' are the same but "
            "for case and punctuation",
        ),
        (["answers.labels=[a, b, '']"], "--set answers.labels=[a, b, '']: answers.labels.2 is '', but string"),
        (["answers={kind: choice, labels: [a]}"], "--set answers={kind: choice, labels: [a]}: answers.labels is ['a']"),
        (["answers.kind=jsn"], "--set answers.kind=jsn: answers.kind is 'jsn', but input should be "),
        (
            ["agents=3", "finetune.min_votes=5"],
            "--set finetune.min_votes=5: finetune.min_votes is 5, but only agents=3 vote",
        ),
        (["agents=1"], "--set agents=1: finetune.min_votes is 2, but only agents=1 vote"),
        (["finetune.min_votes=1", "agents=0"], "--set agents=0: agents is 0"),
        (["debate.topology=rinng"], "did you mean ring?"),
        (["society=null"], "--set society=null: society is null, but must be text"),
        (["hosted=3"], "--set hosted=3: hosted is 3, but must be a section"),
    ],
)
def test_a_fault_of_an_assignment_names_it(tmp_path: Path, assignments: list[str], message: str) -> None:
    said = refused(tmp_path, FILE, *assignments)
    assert message in said and "\n" not in said and "job.yaml" not in said, said
    assert "{'kind'" not in said, "a section is not repeated"


def test_the_nearest_kind_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path, FILE, "answers.kind=jsn").endswith("did you mean json?")


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["answers.grader=parity"],
            "answers.grader=parity: answers.grader is 'parity', but needs MODULE:CLASS, such as",
        ),
        (
            ["answers.grader=parity:Odd"],
            "answers.grader=parity:Odd: answers.grader is 'parity:Odd', but the module parity has",
        ),
        (["answers.grader=broken:It"], "the module broken fails on import (ZeroDivisionError: division by zero)"),
        (["answers.grader=nowhere:It"], "the module nowhere cannot be imported"),
        (
            ["answers.grader=parity:Even", "answers.options={to: 1}"],
            "--set answers.options={to: 1}: answers: parity:Even does not take the options",
        ),
        (["answers.grader=parity:Even", "answers.options={of: 0}"], "(ZeroDivisionError: division by zero)"),
        ([], "--set answers.kind=custom: answers.grader is needed where answers.kind is custom"),
    ],
)
def test_a_grader_of_ones_own(tmp_path: Path, assignments: list[str], message: str) -> None:
    said = refused(tmp_path, "answers: {}\n", "answers.kind=custom", *assignments)
    assert message in said and "\n" not in said and "job.yaml" not in said, said


def test_a_fault_of_the_whole_config_names_the_line(tmp_path: Path) -> None:
    said = refused(tmp_path, FILE.replace("min_votes: 2", "min_votes: 4"))
    assert said.startswith("job.yaml, line 5: finetune.min_votes is 4, but only agents=3 vote")


TINKER = ["engine.name=tinker", "finetune.method=tinker"]
HOSTED = ["hosted.agents=[1]", "hosted.finetune={}"]


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        ([*TINKER, "finetune.layers=[all]"], "finetune.layers.0 is 'all', but input should be 'attention', 'mlp' or"),
        ([*TINKER, "finetune.layers=[]"], "finetune.layers is [], but needs at least 1"),
        ([*TINKER, "finetune.layers=mlp"], "finetune.layers is 'mlp', but must be a list, such as [a, b]"),
        (
            [*TINKER, "engine.prices={prompts: 1, prompt: 1, sampled: 1, trained: 1}"],
            "unknown key 'engine.prices.prompts'; did you mean engine.prices.prompt?",
        ),
        ([*HOSTED, "hosted.engine.name=tinkr"], "hosted.engine.name is 'tinkr', but input should be"),
        (
            [*HOSTED, "hosted.engine.name=openai"],
            "hosted.engine.url is needed where hosted.engine.name is openai: Base URL such as",
        ),
        (
            [*HOSTED, "hosted.engine={name: tinker, timeout_seconds: 3}"],
            "unknown key 'hosted.engine.timeout_seconds' where hosted.engine.name is tinker; it belongs to "
            "hosted.engine.name openai",
        ),
    ],
)
def test_a_fault_within_sections_is_one_line(tmp_path: Path, assignments: list[str], message: str) -> None:
    said = refused(tmp_path, "agents: 2\n", *assignments)
    assert message in said and "\n" not in said, said


@pytest.mark.parametrize(
    "text",
    [
        "{question}",
        "{question} and more",
        "Solve: {question}",
        "[{question}] # 1",
        "one\n\ntwo: {question}",
        "'{question}' it is",
        '"{question}',
        "- {question}",
        "%{question}",
    ],
)
def test_a_text_in_an_assignment_needs_no_quotes(text: str) -> None:
    assert load_config(None, [f"prompts.solve={text}"]).prompts.solve == text


def test_a_quoted_text_is_yaml() -> None:
    def solve(text: str) -> str | None:
        return load_config(None, [f"prompts.solve={text}"]).prompts.solve

    assert solve('"{question}\\n"') == "{question}\n" and solve("'{question}'") == "{question}"
    assert solve("|-\n  {question}\n  now") == "{question}\nnow"
    assert solve("null") is None and solve("") is None
    assert load_config(None, ["answers.kind=number", "problems.train=12", "base_model=yes"]).base_model == "yes"


def test_what_needs_quotes_is_told(tmp_path: Path) -> None:
    said = refused(tmp_path, "", "debate.personas=[a: b: c")
    assert said.startswith("--set debate.personas=[a: b: c: the value is not valid YAML; put a text in quotes: --set ")
    said = refused(tmp_path, "prompts:\n  solve: Solve: {question}\n")
    assert said.startswith("job.yaml, line 2: not valid YAML: ") and "needs quotes" in said
    said = refused(tmp_path, "prompts:\n  solve: {question}\n")
    assert said == "job.yaml, line 2: prompts.solve is {'question': None}, but must be text; put it in quotes"
