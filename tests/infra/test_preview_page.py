"""The pages of a preview show any text of a model as text, and fit a terminal."""

from io import StringIO

from rich.console import Console

from agents.preview.forecast import forecast
from agents.preview.records import Conversation, Preview, Shares, Turn
from infra.cli.preview_screen import show_preview
from infra.operation.preview_page import duration, fenced, preview_page
from tests.agents.test_forecast import PLAN, SAMPLE

HOSTILE = "[bold red]not markup[/] \x1b[2J\x9b31m\u202e ```\n<script>1</script> " + "long " * 40


def conversation() -> Conversation:
    turn = {"round": 1, "agent": "generator-0", "read": None, "text": HOSTILE, "answer": None, "prompt": HOSTILE}
    again = turn | {"round": 2, "agent": "critic-0", "read": HOSTILE, "text": "4", "answer": "[/]|"}
    turns = [Turn(**turn, finished=False, tokens=9, right=False), Turn(**again, finished=True, tokens=1, right=True)]
    fields = {"question": "[link]2+2?|", "answer": "[/]|", "votes": {"[/]|": 1}, "consensus": 1.0}
    return Conversation(**fields, transcript=turns, reference="[/]|", right=True, kept=False)


def sample_preview(**shares: float) -> Preview:
    usual = {"unanswered_share": 0.5, "cut_share": 0.5, "right_share": 0.5, "accuracy": 1.0, "consensus": 1.0}
    return Preview(
        society="arith",
        generation=0,
        prompts="text",
        shares=Shares(**(usual | {"kept_share": 0.0, "tokens_per_response": 5.0} | shares)),
        sample=SAMPLE,
        forecast=forecast(PLAN, SAMPLE, library_seconds=2.0),
        warnings=["set [a] higher one"],
        notes=["A note."],
        conversations=[conversation()] * 3,
    )


def test_a_terminal_shows_hostile_text_as_text() -> None:
    terminal = StringIO()
    show_preview(Console(file=terminal, width=80), sample_preview())
    shown = terminal.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert not set("\x1b\x9b\u202e\t") & set(shown)
    assert shown.count("[link]2+2?|") == 2, "two conversations are shown"
    assert "generator-0: no answer, cut at the limit after 9 tokens" in shown
    assert "critic-0: answer [/]|, right, ended by itself after 1 token\n" in shown
    assert "set [a] higher one" in shown and "1 for [/]|" in shown


def test_a_page_shows_hostile_text_as_code() -> None:
    page = preview_page(sample_preview())
    assert "\x1b" not in page and "\u202e" not in page
    assert page.count("````text") == page.count("\n````\n"), "the fence is longer than the three backticks of the text"
    assert "&#91;link&#93;2&#43;2?&#124;" in page
    assert "- **Warning:** set &#91;a&#93; higher one" in page


def test_a_fence_is_longer_than_any_in_the_text() -> None:
    assert fenced("a ```` b") == "`````text\na ```` b\n`````"


def test_durations() -> None:
    assert [duration(s) for s in (4.21, 59.4, 61, 3_600, 100_000)] == [
        "4.2 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "27 h 46 min",
    ]
