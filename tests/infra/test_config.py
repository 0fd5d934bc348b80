"""The config: a file and assignments give the same config, and errors name the line and the field."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from agents.debate.settings import DebateSettings
from agents.engines.vllm import VllmSettings
from agents.runners.local import Local
from evaluation.benchmark.methods import METHODS
from evaluation.problems.settings import Problems
from infra.config.benchmark import Benchmark
from infra.config.file import assignments, load, load_config
from infra.config.job import Config
from infra.config.stored import read_stored
from infra.errors import UserError


def refused(tmp_path: Path, text: str, *assignments: str) -> str:
    file = tmp_path / "job.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load_config(file, list(assignments))
    return str(caught.value)


def test_defaults_follow_the_paper() -> None:
    config = load_config(None, [])
    assert (config.agents, config.debate.rounds) == (3, 2)
    assert (config.sampling.temperature, config.sampling.top_p) == (1.0, 0.9)
    assert config.in_words == "2 iterations from base"
    assert Config(iterations=1, start_from="champion").in_words == "1 iteration from champion"


def test_file_and_assignments_make_one_tree(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    file.write_text("agents: 5\nfinetune:\n  rank: 8\n")
    config = load_config(file, ["finetune.critic_mix=0.25", "agents=4", "problems.max_value=20"])
    assert (config.agents, config.finetune.rank, config.finetune.critic_mix) == (4, 8, 0.25)
    assert config.problems.max_value == 20
    assert Config.model_validate(config.model_dump()) == config


def test_problems_may_be_named_alone() -> None:
    named = load_config(None, ["problems=my.jsonl"])
    assert named == load_config(None, ["problems.train=my.jsonl"]) != load_config(None, [])
    assert "train_size" not in named.problems.model_fields_set, "a shorter file gives all its problems"
    closed = Config.model_validate({"base_models": None, "chat_template": None, "promotion": None})
    assert closed == Config()
    with pytest.raises(UserError, match=r"--set problems.train_size=5: problems is a value, not a section"):
        load_config(None, ["problems=my.jsonl", "problems.train_size=5"])


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["seeds=[4, 5]", "methods=[base, multiagent-ft]", "iterations=3"],
        ["society=true-north", "problems.train='123.jsonl'", "problems.subjects=['1', 'yes', \"it's\"]"],
        [
            "finetune.critic_mix=0.0",
            "finetune.target_modules=[q_proj]",
            "problems.train_size=150",
            "debate.summarize=false",
        ],
        ["problems.question_field='null'", "encoder='#1: odd'"],
        ["prompts.name=math", 'prompts.system="Be: {{it}}\\n"', "prompts.examples=[{question: '1?', response: '1'}]"],
    ],
)
def test_assignments_make_the_same_config_again(given: list[str]) -> None:
    config = load(Benchmark, None, given)
    again = load(Benchmark, None, assignments(config))
    assert again == config and again.problems.model_fields_set >= config.problems.model_fields_set & {"train_size"}
    assert len(assignments(config)) == len(given)


def test_an_unknown_key_names_its_line_and_the_nearest_known_one(tmp_path: Path) -> None:
    message = refused(tmp_path, "agents: 3\n\nfinetune:\n  learning_rat: 0.1\n")
    assert "job.yaml, line 4" in message and "did you mean finetune.learning_rate?" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("agents: 0\n", ["line 1", "agents is 0", "greater than or equal to 1"]),
        ("seed: 1\ndebate:\n  rounds: 0\n", ["line 3", "debate.rounds is 0"]),
        ("seed: 1\nrounds: 3\n", ["line 2", "unknown key 'rounds'; it is now debate.rounds"]),
        ("finetune:\n  alpha: .inf\n", ["line 2", "finetune.alpha is inf", "finite number"]),
        ("finetune:\n  target_modules: q_proj\n", ["line 2", "target_modules is 'q_proj'", "all-linear, or a list"]),
        ("finetune:\n  on_divergence: retry\n", ["line 2", "finetune.on_divergence is 'retry'", "'stop' or 'halve'"]),
        ("finetune:\n  critic_mix: 1.5\n", ["line 2", "finetune.critic_mix is 1.5", "less than or equal to 1"]),
        ("iterations: many\n", ["line 1", "iterations is 'many'", "integer"]),
        ("society: My Society\n", ["line 1", "society is 'My Society'"]),
        ("agents: 2\nfinetune:\n  min_votes: 3\n", ["min_votes is 3", "agents=2"]),
        (
            "engine:\n  name: openai\n",
            ["line 1", "engine.url is needed where engine.name is openai", "http://127.0.0.1:8000/v1"],
        ),
        ("debate:\n  topology: star\n", ["line 2", "debate.topology is 'star'", "'all-to-all', 'ring' or 'sparse'"]),
        (
            "debate:\n  personas:\n  - You add.\n  - ' '\n",
            ["line 2", "debate.personas.1 is ' '", "at least 1 character"],
        ),
        ("prompts:\n  solve: Solve it.\n", ["line 2", "prompts.solve is 'Solve it.', but {question} is missing"]),
        (
            "prompts:\n  name: gsm\n  debate: '{others} {qestion}'\n",
            ["line 3", "prompts.debate is", "{qestion} is not filled in here; did you mean {question}?"],
        ),
        ("prompts:\n  name: gsn\n", ["line 2", "prompts.name is 'gsn'", "'gsm', 'math' or 'mmlu'"]),
        ("prompts:\n  solv: '{question}'\n", ["line 2", "did you mean prompts.solve?"]),
        (
            "prompts:\n  examples:\n  - question: 1+1?\n    answer: 2\n",
            ["line 2", "prompts.examples.0.response", "prompts.examples.0.answer"],
        ),
        ("base_models: [a/b, '']\n", ["line 1", "base_models.1 is ''", "at least 1 character"]),
        ("base_model: a/b\nbase_models: [embedded]\n", ["base_model is 'a/b'", "base_models is set", "leave one"]),
        ("agents: 2\nbase_models: [a/b, c/d, e/f]\n", ["base_models names 3 base models", "agents is 2"]),
        ("base_models: [a/b, c/d]\nengine:\n  name: vllm\n", ["base_models names 2", "engine.name is vllm"]),
        ("runner: {dtype: nf4}\nengine: {name: vllm}\n", ["runner.dtype is nf4", "engine.name is vllm", "bfloat16"]),
        (
            "debate: {vote: confidence}\nengine:\n  name: vllm\n",
            ["debate.vote is confidence", "engine.name is vllm", "majority"],
        ),
        (
            "engine:\n  url: http://127.0.0.1:8000/v1\n",
            ["line 2", "unknown key 'engine.url' where engine.name is transformers", "engine.name openai"],
        ),
        (
            "engine:\n  name: vlm\n",
            ["line 2", "engine.name is 'vlm'", "'openai' or 'tinker' or 'transformers' or 'vllm'"],
        ),
        ("engine:\n  name: openai\n  url: 127.0.0.1:8000\n", ["line 3", "engine.url is '127.0.0.1:8000'", "base URL"]),
        ("engine:\n  name: openai\n  url: http://h:99999/v1\n", ["line 3", "engine.url", "base URL"]),
        ("engine:\n  name: openai\n  url: ftp://h/v1\n", ["line 3", "engine.url", "base URL"]),
        ("engine:\n  name: openai\n  url: http://h/v1?key=1\n", ["line 3", "engine.url", "base URL"]),
        ("engine:\n  name: openai\n  url: http://user:key@h/v1\n", ["line 3", "engine.url", "OPENAI_API_KEY"]),
        ("engine:\n  name: vllm\n  memory_share: 1.5\n", ["line 3", "engine.memory_share is 1.5"]),
        ("agents: [1\n", ["not valid YAML", "line 2"]),
        ("- 1\n", ["line 1", "key: value"]),
    ],
)
def test_a_bad_value_is_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    message = refused(tmp_path, text)
    assert all(part in message for part in parts), message


def test_a_long_wrong_text_is_shown_in_part(tmp_path: Path) -> None:
    message = refused(tmp_path, f"prompts:\n  solve: |\n    {'long ' * 1000}\n")
    assert "line 2: prompts.solve is 'long long" in message and "{question} is missing" in message
    assert len(message.splitlines()) == 1 and len(message) < 600


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    assert len(refused(tmp_path, "agents: 0\niterations: 0\nnonsense: 1\n").splitlines()) == 3


def test_bad_assignments_are_named() -> None:
    for assignment, part in [
        ("agents", "key.path=value"),
        ("agents.many=3", "agents"),
        ("agents=-1", "--set agents=-1: agents is -1"),
        ("=3", "key.path=value"),
    ]:
        with pytest.raises(UserError, match=part):
            load_config(None, [assignment])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such config file"):
        load_config(tmp_path / "nowhere.yaml", [])


def test_every_field_is_described() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            if not field.description:
                names.append(f"{model.__name__}.{name}")
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                names += undescribed(field.annotation)
        return names

    assert undescribed(Config) == [] and undescribed(Benchmark) == []


def test_a_benchmark_has_the_fields_of_a_job_and_their_defaults() -> None:
    job, benchmark = Config.model_fields, Benchmark.model_fields
    assert job.keys() - benchmark.keys() == {"start_from", "seed", "promotion", "hosted"}
    assert benchmark.keys() - job.keys() == {"methods", "seeds", "encoder", "transfer"}
    for name in (job.keys() & benchmark.keys()) - {"iterations"}:
        assert job[name].get_default(call_default_factory=True) == benchmark[name].get_default(
            call_default_factory=True
        )


def test_a_method_changes_the_job_only_where_it_says() -> None:
    benchmark = Benchmark(agents=4, problems=Problems(train="file.csv", train_size=7), runner=Local(device="cpu"))
    plain = benchmark.job(METHODS["multiagent-ft"], 9)
    assert (plain.agents, plain.debate.summarize, plain.seed, plain.iterations) == (4, True, 9, 5)
    assert plain.problems == benchmark.problems and plain.problems.model_fields_set == {"train", "train_size"}
    assert plain.runner.device == "cpu"
    assert benchmark.job(METHODS["five-agents"], 9) == plain.model_copy(update={"agents": 5})
    assert benchmark.job(METHODS["without-summary"], 9) == plain.model_copy(
        update={"debate": DebateSettings(summarize=False)}
    )
    for name, method in METHODS.items():
        own = {"debate": DebateSettings(**method.debate), "agents": method.agents or 4}
        assert benchmark.job(method, 9) == plain.model_copy(update=own), name


def test_a_benchmark_refuses_a_vote_that_its_engine_cannot_weigh() -> None:
    vllm = VllmSettings()
    with pytest.raises(
        ValueError, match=r"methods has confidence-vote.*engine\.name is vllm; leave confidence-vote out"
    ):
        Benchmark(engine=vllm)
    assert Benchmark(engine=vllm, methods=["debate", "ring"]).methods == ["debate", "ring"]
    with pytest.raises(ValueError, match="vote is confidence"):
        Benchmark(engine=vllm, methods=["debate"], debate={"vote": "confidence"})


def test_the_bases_of_a_job_are_the_different_ones_or_the_one() -> None:
    assert Config().bases == ["embedded"] and Config(base_model="a/b").bases == ["a/b"]
    config = Config(base_models=["a/b", "embedded", "a/b"])
    assert config.bases == ["a/b", "embedded", "a/b"]
    # MLflow stores the config with all its fields, and it is read back from there.
    assert Config.model_validate_json(config.model_dump_json()) == config
    # The same base named twice counts as one base, so every engine accepts it.
    assert Config(base_models=["a/b", "a/b"], engine=VllmSettings()).bases == ["a/b", "a/b"]


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize(
    "field",
    [
        "finetune.alpha",
        "finetune.learning_rate",
        "finetune.critic_mix",
        "sampling.temperature",
        "sampling.top_p",
        "promotion.level",
        "engine.memory_share",
        "engine.timeout_seconds",
    ],
)
def test_no_number_may_be_infinite_or_no_number(tmp_path: Path, field: str, value: str) -> None:
    engine = {"memory_share": "vllm", "timeout_seconds": "openai\n  url: http://127.0.0.1:9/v1"}
    text = f"engine:\n  name: {engine.get(field.rpartition('.')[2], 'transformers')}\n"
    assert f"{field} is {value.replace('.', '')}" in refused(tmp_path, text, f"{field}={value}")


def test_base_models_of_a_benchmark_are_those_of_one_method() -> None:
    plain, name = Benchmark(), "mixed-bases"
    assert name not in plain.methods and {*plain.methods, name} == {*METHODS.names()}
    mixed = Benchmark(base_model="a/b", base_models=["c/d", "e/f"])
    assert mixed.methods == [*plain.methods, name]
    for method, made in METHODS.items():
        expected = ["c/d", "e/f"] if method == name else ["a/b"]
        assert mixed.job(made, 1).bases == expected
    assert Benchmark(base_models=["c/d", "e/f"], methods=["debate"]).methods == ["debate"]
    assert load(Benchmark, None, assignments(mixed)) == mixed
    with pytest.raises(ValueError, match="methods has mixed-bases, but base_models is empty; name the base models"):
        Benchmark(methods=[name])
    with pytest.raises(ValueError, match=r"base_models names 2 different ones, but engine\.name is vllm"):
        Benchmark(base_models=["c/d", "e/f"], methods=[name], engine=VllmSettings())
    with pytest.raises(ValueError, match="base_models names 4 base models, but agents is 3"):
        Benchmark(base_models=["a", "b", "c", "d"])


def test_a_config_of_an_earlier_version_is_read_back() -> None:
    """Before 0.2, the fields of the debate were at the top level, and an engine had the fields of all engines."""
    old = {"rounds": 3, "topology": "ring", "engine": {"name": "transformers", "url": None, "max_loras": 8}, "seed": 4}
    read = read_stored(Config, json.dumps(old))
    assert read == Config(debate={"rounds": 3, "topology": "ring"}, seed=4)
    assert read_stored(Config, read.model_dump_json()) == read


@pytest.mark.parametrize("text", ["x" * 600_000, "x\n" * 300_000])
def test_a_long_value_is_not_repeated(tmp_path: Path, text: str) -> None:
    file = refused(tmp_path, f"debate: {json.dumps({'personas': [text]})}\n")
    (line,) = file.splitlines()
    assert "line 1: debate.personas.0 is 'x" in line and "at most 1000 characters" in line
    assert "more characters)" in line and len(line) < len(str(tmp_path)) + 300
    for assignment in (f"society={text}", f"{text}=1", f"society.{text}=1", text, f"society='{text}"):
        shown = refused(tmp_path, "society: arith\n", assignment)
        assert shown.startswith("--set ") and "\n" not in shown and len(shown) < 600, shown[:1000]
