"""A plugin file with one toy entry of each kind: the config, the form, error messages and a job know all of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.home.sources import ROOMS, ROOT

NAMES = ["toy-first", "toy-loud", "toy-eldest", "toy-sevens", "toy-nothing", "toy-method", "toy-set"]


def python(code: str, root: Path = ROOT, plugins: str = "tests.toys") -> str:
    environment = {**os.environ, "MAFT_PLUGINS": plugins, "PYTHONPATH": f"{root}:{ROOT}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_toy_of_each_kind_is_in_the_config_the_form_and_the_messages() -> None:
    told = python("""if True:
        import json
        from infra.config.benchmark import Benchmark
        from infra.config.file import load
        from infra.config.job import Config
        from infra.errors import UserError
        print(json.dumps([Config.model_json_schema(), Benchmark.model_json_schema()]))
        for bad in ("debate.topology=x", "debate.messages=x", "debate.vote=x", "engine.name=x", "finetune.method=x",
                    "methods=[x]", "prompts.name=x", "engine.patience=3", "finetune.zeal=0.1"):
            try:
                load(Benchmark, None, [bad])
            except UserError as error:
                print(error)
        load(Config, None, ["debate.topology=toy-first", "debate.messages=toy-loud", "debate.vote=toy-eldest",
                            "engine.name=toy-sevens", "engine.patience=2", "finetune.method=toy-nothing",
                            "prompts.name=toy-set"])
    """)
    form, *messages = told.splitlines()
    assert all(f'"{name}"' in form for name in NAMES), "the run form offers all entries"
    assert "the first agent, which itself reads nobody" in form and "says 7." in form and "toy-set: few words" in form
    for name, message in zip(NAMES, messages, strict=False):
        assert f"'{name}'" in message, "the message for a wrong name lists the known names"
    assert "it belongs to engine.name toy-sevens" in messages[7]
    assert "it belongs to finetune.method toy-nothing" in messages[8]


@pytest.mark.slow
def test_a_whole_job_of_toys() -> None:
    """Algorithm 1 with the toy topology, format, vote, engine and method: all agents answer 7 and learn nothing."""
    told = python("""if True:
        import tempfile
        from pathlib import Path
        from agents import algorithm, steps
        from agents.algorithm import StoredProblems
        from agents.engines.base_model import identify_bases
        from agents.frames import problems_frame
        from agents.run import Run
        from agents.society import Society
        from agents.store import Store
        from evaluation.problems.sources import load_problems
        from infra.config.job import Config
        config = Config(
            agents=2, debate={"topology": "toy-first", "messages": "toy-loud", "vote": "toy-eldest"},
            engine={"name": "toy-sevens"}, finetune={"method": "toy-nothing", "zeal": 0.25},
            problems={"train_size": 3, "evaluation_size": 2},
        )
        with tempfile.TemporaryDirectory() as folder:
            store, sets = Store(Path(folder)), load_problems(config.problems, 1)
            x = StoredProblems(train=store.put_frame(problems_frame(sets.train)),
                            evaluation=store.put_frame(problems_frame(sets.evaluation)))
            run = Run(steps=steps, bases=identify_bases(config.bases, False), engine=config.engine, store=store)
            made = algorithm.iterate(run, Society.untuned(2), problems=x, settings=config.settings, generation=1)
            last = store.frame(made.debated.responses[-1])
            print(sorted(last["weight"]), sorted(set(last["answer"])), made.scores.dataset_sizes)
            print(last[last["index"] == 1]["summary"].iloc[0], all(agent.adapter for agent in made.society.agents))
            print([r is None or r == "" or r for r in last.sort_values("index")["heard"]])
    """)
    weights, summary, heard = told.splitlines()
    assert weights.startswith("[0.0, 0.0, 1.0, 1.0] ['7'] {'generator-0': 3, 'generator-1': 3, 'critic-0': 3")
    assert summary == r"IT IS \BOXED{7}. True"
    assert heard == "[True, True, '0', '0']"


def test_a_field_of_a_debate_is_added_in_one_file(tmp_path: Path) -> None:
    """A field added to agents/debate/settings.py of a copy is in every config and in its form."""
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__", "embedded"))
    file = tmp_path / "agents" / "debate" / "settings.py"
    field = '    patience: int = Field(default=3, ge=1, title="Patience", description="A toy.")\n\n    @property\n'
    file.write_text(file.read_text().replace("    @property\n", field, 1))
    told = python(
        """if True:
        from infra.config.benchmark import Benchmark
        from infra.config.file import load
        from infra.config.job import Config
        from evaluation.benchmark.methods import METHODS
        for model in (Config, Benchmark):
            print(load(model, None, ["debate.patience=5"]).debate.patience, "A toy." in str(model.model_json_schema()))
        print(load(Benchmark, None, ["debate.patience=5"]).job(METHODS["ring"], 1).debate.patience)
        """,
        tmp_path,
        plugins="",
    )
    assert told.split() == ["5", "True", "5", "True", "5"]
