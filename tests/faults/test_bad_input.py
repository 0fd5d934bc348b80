"""Bad input gives a clear message and status 2, and nothing is written."""

import json
from pathlib import Path

import pytest

from tests.agents import other_bases
from tests.conftest import Maft, free_port, plain_environment


@pytest.fixture
def lone() -> Maft:
    """The command without servers, which a refusal must not need."""
    return Maft(plain_environment(), forked=True)


def refusal(lone: Maft, home: Path, *arguments: str) -> str:
    result = lone("run", *arguments, "--home", str(home), status=2)
    assert result.stdout == ""
    assert not home.exists(), "a refused job writes nothing"
    assert "Traceback" not in result.stderr
    return result.stderr


FILES = {
    "malformed": ('{"question": "1?", "answer": "1"}\n{"question": \n', ["problems.jsonl:2: not JSON"]),
    "empty": ("", ["empty"]),
    "duplicate": (
        '{"question": "1+1?", "answer": "2"}\n{"question": "1+1?", "answer": "2"}\n',
        ["problems.jsonl:2: the same question as", "problems.jsonl:1"],
    ),
    "no answer": ('{"question": "1+1?", "solution": "2"}\n', ["problems.jsonl:1: ", "answer"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_problem_file(lone: Maft, tmp_path: Path, case: str) -> None:
    text, parts = FILES[case]
    file = tmp_path / "problems.jsonl"
    file.write_text(text)
    message = refusal(lone, tmp_path / "home", "--set", f"problems.train={file}")
    assert "problems.jsonl" in message and all(part in message for part in parts), message


def test_the_same_question_in_both_sets(lone: Maft, tmp_path: Path) -> None:
    for name in ("train", "test"):
        rows = [{"question": f"What is {n}+1?", "answer": str(n + 1)} for n in (1, 2, 3 if name == "train" else 4)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    message = refusal(
        lone,
        tmp_path / "home",
        "--set",
        f"problems.train={tmp_path / 'train.jsonl'}",
        "--set",
        f"problems.evaluation={tmp_path / 'test.jsonl'}",
    )
    assert "What is 1+1?" in message and "What is 2+1?" in message and "3+1" not in message


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("agents=0", ["agents is 0"]),
        ("debate.rounds=0", ["debate.rounds is 0"]),
        ("finetune.critic_mix=1.2", ["finetune.critic_mix is 1.2"]),
        ("finetune.rnk=3", ["did you mean finetune.rank"]),
        ("base_model=./nowhere", ["./nowhere", "embedded"]),
        ("base_model=nofolder/", ["base_model: 'nofolder/' is neither"]),
        ("chat_template.enable_thinking=false", ["chat_template.enable_thinking is set, but the chat template of emb"]),
        ("runner.device=tpu", ["runner.device is 'tpu', but it must be auto, cpu, cuda or cuda:N"]),
        ("runner.device=cuda:99", ["runner.device is cuda:99, but torch finds", "set it to auto or cpu"]),
        ("base_models=[embedded, ./nowhere]", ["base_models: './nowhere'", "embedded"]),
        ("problems.train=nowhere.jsonl", ["nowhere.jsonl"]),
        ("problems.train=hub:nowhere", ["hub:nowhere", "hub:DATASET:SUBSET:SPLIT"]),
        ("problems.levels=[1, 2]", ["arithmetic", "leave problems.levels unset"]),
        (
            "engine={name: openai, url: 'https://example.com/v1'}",
            ["https://example.com/v1", "OPENAI_API_KEY is not set"],
        ),
        ("prompts.alone='{others}'", ["prompts.alone is '{others}', but {others} is not filled in here"]),
        ("problems.max_value=2", ["problems.max_value=2", "the sizes need 600"]),
    ],
)
def test_a_bad_setting(lone: Maft, tmp_path: Path, setting: str, parts: list[str]) -> None:
    message = refusal(lone, tmp_path / "home", "--set", setting)
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("methods=[majority-matched]", "majority-matched, which takes as many tokens as multiagent-ft"),
        ("methods=[base, base]", "methods names base more than once"),
        ("methods=[best]", "methods.0 is 'best'"),
        ("seeds=[]", "seeds is []"),
        ("seed=1", "unknown key 'seed'; did you mean seeds?"),
        ("encoder=./nowhere", "encoder: './nowhere' is neither"),
    ],
)
def test_a_bad_setting_of_a_benchmark(lone: Maft, tmp_path: Path, setting: str, told: str) -> None:
    refused = lone("benchmark", "--set", setting, "--home", str(tmp_path / "none"), status=2)
    assert told in refused.stderr and refused.stdout == ""
    assert not (tmp_path / "none").exists()


def test_each_of_two_bad_settings_has_a_line(lone: Maft, tmp_path: Path) -> None:
    lines = refusal(lone, tmp_path / "home", "--set", "agents=0", "--set", "debate.rounds=0").splitlines()
    assert [line.partition(" is 0, ")[0] for line in lines] == [
        "maft: --set agents=0: agents",
        "maft: --set debate.rounds=0: debate.rounds",
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ask"], "maft: Missing argument 'question'; see `"),
        (["ru"], "maft: No such command 'ru'. Did you mean 'run'?; see `"),
        (["run", "--sett", "agents=2"], "maft: No such option: --sett"),
        (["ask", "1+1?", "--seed", "-1"], "maft: Invalid value for '--seed'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(lone: Maft, arguments: list[str], told: str) -> None:
    refused = lone(*arguments, status=2)
    (line,) = refused.stderr.splitlines()
    assert line.startswith(told) and line.endswith(" --help`") and refused.stdout == ""


def test_without_a_command_the_help_is_shown(lone: Maft) -> None:
    shown = lone(status=2)
    assert "Usage: " in shown.stdout and "evaluate" in shown.stdout and shown.stderr == ""


@pytest.mark.parametrize("field", ["base_model", "problems.train", "prompts.solve", "debate.personas"])
def test_a_value_of_any_length_gives_a_short_line(lone: Maft, tmp_path: Path, field: str) -> None:
    *section, name = field.split(".")
    value = "{" + "x" * 600_000
    tree = {name: [value] if name == "personas" else value}
    file = tmp_path / "job.yaml"
    file.write_text(json.dumps({section[0]: tree} if section else tree))
    message = refusal(lone, tmp_path / "home", str(file))
    assert len(message.splitlines()) == 1 and len(message) < 1000 and "more characters)" in message


def test_a_base_model_without_chat_template(lone: Maft, tmp_path: Path) -> None:
    folder = other_bases.copied(tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    assert "no chat template" in refusal(lone, tmp_path / "home", "--set", f"base_model={folder}")


def test_an_unwritable_home(lone: Maft, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "is a file" in refusal(lone, tmp_path / "file" / "home")


@pytest.mark.parametrize("variable", ["PREFECT_API_URL", "MLFLOW_TRACKING_URI"])
def test_configured_servers_that_do_not_answer(tmp_path: Path, variable: str) -> None:
    address = f"http://127.0.0.1:{free_port()}{'/api' if variable.startswith('PREFECT') else ''}"
    maft = Maft({**plain_environment(), variable: address}, forked=True)
    result = maft("run", "--home", str(tmp_path / "home"), status=2)
    assert variable in result.stderr and address in result.stderr


def test_a_system_prompt_that_the_base_cannot_read(lone: Maft, tmp_path: Path) -> None:
    base = other_bases.copied(tmp_path / "base")
    template = base / "chat_template.jinja"
    template.write_text("{{ raise_exception('no system') if messages[0].role == 'system' }}" + template.read_text())
    message = refusal(lone, tmp_path / "home", "--set", "prompts.system=Be brief.", "--set", f"base_model={base}")
    assert "prompts.system is set, but the chat template of the base model" in message
    assert str(base) in message and "(no system)" in message and len(message.splitlines()) == 1
