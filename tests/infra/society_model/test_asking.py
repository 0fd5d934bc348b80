"""`maft ask`: a registered society is found by its alias, and its answer is shown in a terminal."""

import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents.engines.base_model import Bases
from agents.society import Society
from agents.store import Store
from infra.cli.asking import ask_society, show_answer
from infra.errors import UserError
from infra.lineage.societies import register_society
from tests.infra.lineage_samples import a_job, registered
from tests.infra.society_model.conftest import EMBEDDED, QUESTIONS


def test_a_registered_society_is_asked_by_its_alias(
    tracking: str, monkeypatch: pytest.MonkeyPatch, folder: Path, society: Society, store: Store, expected: list[Any]
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    job = a_job("asked")
    agents = {
        agent.name: registered(job, 3, agent, store.folder(agent.adapter) if agent.adapter else None)
        for agent in society.agents
    }
    register_society(
        job,
        society,
        agents,
        parent_version=None,
        bases=Bases(each=(EMBEDDED,)),
        model_folder=folder,
        description="Made for a test.",
    )
    said = ask_society("asked", "candidate", QUESTIONS[0], 4)
    assert said == {"society": "asked", "version": "1", "generation": 3, "seed": 4, **expected[0]}
    assert ask_society("asked", "1", QUESTIONS[0], 4) == said
    json.dumps(said, allow_nan=False)
    with pytest.raises(UserError, match="society 'asked' has no champion"):
        ask_society("asked", "champion", QUESTIONS[0], 4)
    with pytest.raises(UserError, match="there is no version 2, but society 'asked' has version 1"):
        ask_society("asked", "2", QUESTIONS[0], 4)
    with pytest.raises(UserError, match="question 1: must not be blank"):
        ask_society("asked", "1", " ", 4)


def test_a_hostile_answer_is_shown_as_text() -> None:
    hostile = "[bold red]not markup[/] \x1b[2J\x9b31m\u202e :smile: " + "long " * 40
    turns = [
        {"round": 1, "agent": "generator-0", "read": None, "text": hostile, "answer": None},
        {"round": 2, "agent": "critic-0", "read": hostile, "text": "tab\tand\nline", "answer": "[/]"},
        {"round": 2, "agent": "critic-1", "read": "", "text": "", "answer": None},
    ]
    answer = {"society": "arith", "version": "3", "generation": 2, "seed": 0, "question": "[link]2+2?"}
    answer |= {"answer": "[/]", "votes": {"[/]": 1}, "consensus": 0.5, "transcript": turns}
    terminal = StringIO()
    show_answer(Console(file=terminal, width=80), answer)
    shown = terminal.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert all(line == line.rstrip() for line in shown.splitlines())
    assert shown.count("[bold red]not markup[/]") == 2 and ":smile:" in shown and "[link]2+2?" in shown
    assert not set("\x1b\x9b\u202e\t") & set(shown)
    assert "generator-0: no answer" in shown and "critic-0: [/]" in shown
    assert "  1 for [/]\n  1 without an answer\n" in shown
    assert shown.rstrip().endswith("Answer [/]  (consensus 50 %)")
