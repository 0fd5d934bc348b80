"""A benchmark's page loads no other file, and models' texts do no harm. Run: pytest tests/evaluation/test_page.py"""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from evaluation.benchmark.debates import COUNT, KINDS, MAX_AGENTS, MAX_CHARS, Held, clipped, worth_reading
from evaluation.benchmark.methods import METHODS
from evaluation.benchmark.paper import TABLE_1, TABLE_2, accuracies, nearest
from evaluation.benchmark.results import summarise
from evaluation.problems.problem import Problem
from evaluation.reporting.page import render
from tests.evaluation.report_samples import debate, sample

HOSTILE = (
    "</p></style><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}{% raw %}\u202e\x00\x1b[31m&amp;'\""
)


class Elements(HTMLParser):
    """Parses a page into its elements with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.found}


@pytest.fixture(scope="module")
def page() -> str:
    return render(sample())


def test_the_page_needs_nothing_from_elsewhere(page: str) -> None:
    elements = Elements(page)
    assert not elements.tags & {"script", "link", "iframe", "object", "embed", "img", "base"}
    for tag, attributes in elements.found:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href", "action", "data"):
            target = attributes.get(name) or "#"
            assert target.startswith("#") or (tag, name) == ("a", "href"), (tag, target)
    assert set(re.findall(r"https?://[^\"'<\s]+", page)) == {"https://arxiv.org/abs/2501.05707"}
    assert not re.search(r"@import|@font-face|url\((?!#)", page)
    (policy,) = (a["content"] for _, a in elements.found if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'")


def test_plots_take_the_colours_of_the_page_and_share_no_id(page: str) -> None:
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(svgs) == 7
    for svg in svgs:
        assert "var(--society)" in svg and "var(--ink)" in svg and "font-family" not in svg
        assert not re.search(r"#0\d0\d0\d", svg)
        defined = re.findall(r' id="([^"]+)"', svg)
        assert set(re.findall(r"(?:href=\"|url\()#([^\")]+)", svg)) <= set(defined)
    ids = [id_ for svg in svgs for id_ in set(re.findall(r' id="([^"]+)"', svg))]
    assert len(ids) == len(set(ids))


def test_what_models_and_users_say_is_shown_and_never_obeyed() -> None:
    hostile = debate(HOSTILE, question=HOSTILE, reference=HOSTILE)
    report = sample(1, 1, ("base", "multiagent-ft"), society=HOSTILE, base=HOSTILE, command=HOSTILE, config=HOSTILE)
    plain = sample(1, 1, ("base", "multiagent-ft"))
    report.debates[:] = [hostile]
    plain.debates[:] = [debate(question="a", reference="b")]
    elements = Elements(render(report))
    # The page has the same elements and attributes, with whatever text.
    assert elements.found == Elements(render(plain)).found
    assert elements.text.count("<script>alert(1)</script>") >= len(hostile.turns) + 5
    assert "{{ 7*7 }}" in elements.text
    assert not {"\u202e", "\x00", "\x1b"} & {*elements.text}


def test_texts_are_bounded() -> None:
    assert clipped("a" * MAX_CHARS) == "a" * MAX_CHARS
    long = clipped("a" * (MAX_CHARS + 2000))
    assert long == f"{'a' * MAX_CHARS} … (2,000 more characters)"
    report = sample(1, 1, ("multiagent-ft",), society="s" * 10_000)
    report.debates[:] = [debate("y" * 1_000_000)] * COUNT
    assert len(render(report)) < 500_000


@pytest.mark.parametrize(
    "names", [("base",), ("majority", "debate"), ("multiagent-ft",), ("single-ft", "multiagent-ft")]
)
def test_a_benchmark_of_few_methods_has_a_page(names: tuple) -> None:
    report = sample(1, 1, names)
    report.debates.clear()
    text = Elements(render(report)).text
    assert "None: no method" in text and "not measured" in text
    assert all(METHODS[name].title in text for name in names)


def test_the_page_says_what_was_found(page: str) -> None:
    text = " ".join(Elements(page).text.split())
    for finding in sample().findings:
        assert finding.said in text and finding.rule in text and finding.title in text
    assert "On problems of another kind" in text and "arithmetic with values up to 40" in text
    few = sample(transfer=False)
    text, verdicts = " ".join(Elements(render(few)).text.split()), [finding.verdict for finding in few.findings]
    assert f"{verdicts.count('holds')} hold" in text and "not measured" in verdicts
    assert "On problems of another kind" not in text
    assert "--set 'seeds=[1, 2, 3]'" in text


def test_the_page_says_what_was_corrected_and_spoiled(page: str) -> None:
    rows = re.findall(r"<th>(\w+) answers (\w+), ([^<]+)</th>((?:<td>[^<]+</td>)+)", page)
    corrected, spoiled = ["25.0", "27.5", "30.0", "32.5", "35.0", "37.5"], ["10.0", "9.5", "9.0", "8.5", "8.0", "7.5"]
    assert [(*names, re.findall(r"<td>([^<]+)", cells)) for *names, cells in rows] == [
        ("wrong", "corrected", "multiagent FT", corrected),
        ("wrong", "corrected", "single FT, debate", corrected),
        ("right", "spoiled", "multiagent FT", spoiled),
        ("right", "spoiled", "single FT, debate", spoiled),
    ]


def test_the_paper() -> None:
    assert accuracies("debate", "GSM") == ("GSM", (83.3, 84.4, 52.6, 78.4))
    assert accuracies("without-critics", "arithmetic") == ("MATH", (50.8, 56.6, 19.0, 50.5))
    assert accuracies("pooled", "MATH") is None
    assert {len(row) for table in TABLE_1.values() for row in table.values()} | {*map(len, TABLE_2.values())} == {4}
    sources = ["arithmetic", "hub:openai/gsm8k:main:train", "hub:EleutherAI/hendrycks_math:algebra:train"]
    assert [nearest(source) for source in sources] == ["arithmetic", "GSM", "MATH"]


def held(
    answers: list[list[str | None]],
    iteration: int = 1,
    question: str = "1+1",
    right: str = "2",
    weights: list[float] | None = None,
) -> Held:
    """A debate with these answers by round and agent, and these weights of the answers of the last round."""
    problem = Problem(question=question, answer=right)
    rows = [
        (problem.id, index, round_, f"I say {answer}", answer, "they say" if round_ > 1 else None)
        for round_, given in enumerate(answers, start=1)
        for index, answer in enumerate(given)
    ]
    frame = pd.DataFrame(rows, columns=["problem_id", "index", "round", "text", "answer", "summary"])
    if weights:
        frame["weight"] = [1.0] * (len(frame) - len(weights)) + weights
    return Held("multiagent-ft", iteration, 1, [problem], frame)


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("corrected", [["3", "3", "2"], ["2", "3", "2"]]),
        ("spoiled", [["2", "3", "2"], ["3", "3", "2"]]),
        ("split", [["2", "2", "2"], ["2", "3", "4"]]),
        ("split", [["2", "2", "2"], ["2", None, "4"]]),
        ("alone", [["3", "3", "2"], ["3", "3", "2"]]),
        ("deceived", [["3", "4", "5"], ["3", "3", "3.0"]]),
        (None, [["2", "2", "3"], ["2", "2", "2"]]),
        (None, [["3", "3", None], ["3", "3", None]]),
        (None, [["3", "3", "2"]]),
    ],
)
def test_kinds_of_debates_by_hand(kind: str | None, answers: list) -> None:
    found = worth_reading([held(answers)])
    assert [each.kind for each in found] == ([kind] if kind else [])
    if found:
        (told,) = found
        assert told.votes[0].right == (answers[0].count("2") > 1)
        assert [(t.round, t.agent, t.answer) for t in told.turns] == [
            (m, f"{'generator' if m == 1 else 'critic'} {n}", answer)
            for m, given in enumerate(answers, start=1)
            for n, answer in enumerate(given)
        ]
        assert [t.right for t in told.turns] == [answer == "2" for given in answers for answer in given]
        assert {t.read for t in told.turns} == {None, "they say"}


def test_one_of_each_kind_and_the_newest_first() -> None:
    corrected, spoiled = [["3", "3", "2"], ["2", "2", "2"]], [["2", "2", "3"], ["3", "3", "3"]]
    chosen = worth_reading([held(corrected, i, f"{i}+1") for i in range(9)] + [held(spoiled, 0)])
    assert [(each.kind, each.iteration) for each in chosen] == [
        *(("corrected", i) for i in (8, 7, 6, 5)), ("spoiled", 0),
    ]  # fmt: skip
    assert COUNT == 5 == len(KINDS)
    (many,) = worth_reading([held([["3"] * 9, ["2"] * 9])])
    assert len(many.turns) == 2 * MAX_AGENTS and many.left_out == 4


@pytest.mark.parametrize(
    ("kind", "weights", "vote"),
    [
        ("corrected", [0.2, 0.3, 0.9], ("2", 1)),  # The right answer has the largest weight.
        ("alone", [0.5, 0.6, 0.9], ("3", 2)),
        ("split", [0.25, 0.5, 0.75], None),  # 0.25 + 0.5 against 0.75 is a tie, which is broken at random.
    ],
)
def test_the_weights_of_a_vote_decide_here_too(kind: str, weights: list[float], vote: tuple[str, int] | None) -> None:
    (told,) = worth_reading([held([["3", "3", "2"], ["3", "3", "2"]], weights=weights)])
    assert told.kind == kind
    assert vote is None or (told.votes[-1].answer, told.votes[-1].votes) == vote


def test_the_page_warns_of_failed_responses() -> None:
    report = sample(1, 1, ("base", "multiagent-ft"), max_new_tokens=64)
    assert "Warning" not in Elements(render(report)).text, "older benchmarks did not count them"
    failed = [
        each._replace(outcome=each.outcome.model_copy(update={"cut_share": 0.75, "unanswered_share": 0.5}))
        for each in report.scored
    ]
    shown = Elements(render(replace(report, scored=failed, rows=summarise(failed)))).text
    assert "75 % of the responses to held-out problems (base, iteration 0, seed 1) were cut at the limit" in shown
    assert "such as 128" in shown and "50 % of the responses" in shown
    assert shown.count("75.0") == 2, "both methods have their share in the table"
