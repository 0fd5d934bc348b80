"""A config with absolute paths is the same job in every folder."""

from pathlib import Path

import pytest

from agents.engines.base_model import BaseModelError
from infra.config.absolute import absolute
from infra.config.file import load_config


def test_paths_become_absolute_and_other_names_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)
    problems = ["problems.train=train.jsonl", "problems.evaluation=hub:./base:test"]
    config = absolute(load_config(None, [*problems, "base_models=[base, embedded, org/name@main]"]))
    assert config.base_models == [f"{tmp_path}/base", "embedded", "org/name@main"]
    assert config.problems.train == f"{tmp_path}/train.jsonl"
    assert config.problems.evaluation == f"hub:{tmp_path}/base:test"
    assert absolute(config) == config
    named = absolute(load_config(None, ["problems=hub:openai/gsm8k:main:train", "base_model=base"]))
    assert (named.problems.train, named.base_model) == ("hub:openai/gsm8k:main:train", f"{tmp_path}/base")
    partly = absolute(load_config(None, ["hosted={agents: [0], base_model: base, engine: {}, finetune: {}}"]))
    assert partly.bases == [f"{tmp_path}/base", "embedded", "embedded"]


def test_what_is_not_set_stays_unset() -> None:
    config = absolute(load_config(None, ["agents=2", "problems.train_size=7", "problems.train=arithmetic"]))
    given = {"agents": 2, "problems": {"train_size": 7, "train": "arithmetic"}}
    assert config.model_dump(exclude_unset=True) == given


def test_a_base_model_that_is_nowhere_is_refused() -> None:
    with pytest.raises(BaseModelError, match=r"base_models: '\./none' is neither"):
        absolute(load_config(None, ["base_models=[embedded, ./none]"]))
