"""A small benchmark of all methods, run by the command: its records, data sets and lineage, and a kill -9.

Run: pytest tests/flows/test_benchmark.py
"""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import httpx
import pandas as pd
import pytest
from mlflow import MlflowClient

from evaluation.benchmark.methods import METHODS
from tests.conftest import Maft

SEEDS = (1, 2)
# Two agents must agree for a label to be kept, so no label depends on a tie broken at random. With w = 0, no critic's
# example depends on a random choice.
SETTINGS = ["society=compared", "iterations=1", "problems.train_size=20", "finetune.critic_mix=0.0"]
SETTINGS += ["transfer.max_value=40", "transfer.size=6"]
SOME = ["majority", "majority-matched", "star", "multiagent-ft"]
NUMBERS = ["accuracy", "alone", "pseudo_label_accuracy", "labels", "examples", "unchanged", "diversity"]


@pytest.fixture(scope="module")
def arguments(brief: list[str], brief_folder: Path) -> Callable[..., list[str]]:
    """A function that makes the arguments of the command."""
    # Both base models are the same one, so the society of mixed bases equals the society of one base.
    base_models = json.dumps([str(brief_folder)] * 2)

    def made(home: Path, seeds: Iterable[int] = SEEDS, methods: Iterable[str] = METHODS.names()) -> list[str]:
        own = [f"seeds={[*seeds]}", f"methods={json.dumps([*methods])}", f"base_models={base_models}"]
        settings = [part for each in (*SETTINGS, *own) for part in ("--set", each)]
        return ["benchmark", *brief, *settings, "--home", str(home)]

    return made


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def report(maft: Maft, home: Path, arguments: Callable[..., list[str]]) -> dict:
    return maft.json(*arguments(home))


def numbers(report: dict, seeds: Iterable[int] = SEEDS, methods: Iterable[str] = METHODS.names()) -> dict[tuple, list]:
    outcomes = [each["outcome"] for each in report["measured"]]
    outcomes = [o for o in outcomes if o["method"] in methods and o["seed"] in seeds]
    return {
        (o["method"], o["iteration"], o["seed"], *(["transfer"] * o["transfer"])): [
            *(o[name] for name in NUMBERS),
            o["training"]["sampled_tokens"],
            o["training"]["trained_tokens"],
            o["answering"]["sampled_tokens"],
        ]
        for o in outcomes
    }


def iterations(name: str) -> list[int]:
    return [1] if METHODS[name].matched else [0, 1] if METHODS[name].finetuned else [0]


def test_every_method_is_measured_once_per_iteration_and_seed(report: dict) -> None:
    outcomes = [each["outcome"] for each in report["measured"]]
    keys = Counter((o["method"], o["iteration"], o["seed"]) for o in outcomes if not o["transfer"])
    expected = [(name, i, seed) for name in METHODS.names() for i in iterations(name) for seed in SEEDS]
    assert keys == Counter(expected)
    elsewhere = [(o["method"], o["iteration"], o["seed"], o["problems"]) for o in outcomes if o["transfer"]]
    assert Counter(elsewhere) == Counter(
        (name, iterations(name)[-1], seed, 6) for name in METHODS.names() for seed in SEEDS
    )
    assert [(row["method"], row["iteration"]) for row in report["transfer"]] == [
        (n, iterations(n)[-1]) for n in METHODS.names()
    ]
    assert [(row["method"], row["iteration"]) for row in report["rows"]] == list(dict.fromkeys(e[:2] for e in expected))
    for row in report["rows"]:
        assert (row["behind"] is None) == (row["method"] == "multiagent-ft")
        assert row["cost"]["sampled_tokens"] > 0
        assert (row["cost"]["trained_tokens"] > 0) == (METHODS[row["method"]].finetuned and row["iteration"] == 1)


def test_what_methods_share_is_computed_once(
    report: dict, maft: Maft, home: Path, arguments: Callable[..., list[str]]
) -> None:
    found = numbers(report)
    for seed in SEEDS:
        untuned = found["debate", 0, seed]
        assert untuned[0] == found["multiagent-ft", 0, seed][0] == found["pooled", 0, seed][0]
        assert found["majority", 0, seed][0] == found["star", 0, seed][0] == found["majority-ft", 0, seed][0]
        assert found["base", 0, seed][0] == found["base", 0, seed][1] == found["majority", 0, seed][1]
        assert found["single-ft", 1, seed][-2] == found["single-ft-debate", 1, seed][-2] > 0
        for i in (0, 1):
            assert found["mixed-bases", i, seed] == found["multiagent-ft", i, seed]
    # Methods share steps: for example, all methods but the first took the untuned agents' debates from the cache.
    assert report["cached"] > 40
    again = maft.json(*arguments(home))
    assert again["computed"] == 0 and again["rows"] == report["rows"] and again["mlflow"] == report["mlflow"]


def test_matched_methods_have_at_least_the_tokens_of_multiagent_finetuning(report: dict) -> None:
    outcomes = [each["outcome"] for each in report["measured"]]
    found = {(o["method"], o["iteration"], o["seed"], o["transfer"]): o for o in outcomes}
    for seed, name, other in product(SEEDS, ["majority", "debate"], [False, True]):
        training = found["multiagent-ft", 1, seed, False]["training"]["sampled_tokens"]
        budget = training + found["multiagent-ft", 1, seed, other]["answering"]["sampled_tokens"]
        spent = found[f"{name}-matched", 1, seed, other]["answering"]["sampled_tokens"]
        one_group = found[name, 0, seed, other]["answering"]["sampled_tokens"]
        # The method stops within one group of samples after the budget; groups differ a little in length.
        assert budget <= spent < budget + 2 * one_group


def answer_of(text: str) -> int | None:
    """The answer in a text, found without the code under test; answers in arithmetic are whole numbers."""
    boxes = re.findall(r"\\boxed\{(-?\d+)\}", text)
    return int(boxes[-1]) if boxes else None


@pytest.fixture(scope="module")
def frames(report: dict, home: Path) -> list[pd.DataFrame]:
    return [pd.read_parquet(path) for path in sorted((home / "artifacts" / "frames").iterdir())]


def solve(question: str) -> dict:
    return {
        "role": "user",
        "content": f"Solve the problem step by step and end with the answer in \\boxed{{}}.\n\n{question}",
    }


def said(text: str) -> dict:
    return {"role": "assistant", "content": text}


def debated(read: str, question: str) -> dict:
    advice = "With this as advice, check your steps, solve the problem again and end with the answer in \\boxed{}."
    return {"role": "user", "content": f"Other agents answered:\n{read}\n\n{advice}\n\n{question}"}


def joined(data_sets: Iterable[list]) -> list:
    return [example for examples in data_sets for example in examples]


def plain(responses: pd.DataFrame) -> bool:
    """Whether the debate was the paper's: agents without personas, all rounds, prose messages and equal votes."""
    unusual = responses["persona"].notna() | responses["carried"] | responses["fallback"].notna()
    return not unusual.any() and (responses["weight"] == 1.0).all()


class Words:
    """The responses of two untuned agents to the training problems of one seed, found among all frames."""

    def __init__(self, problems: pd.DataFrame, frames: list[pd.DataFrame]) -> None:
        self.ids = problems["id"].tolist()
        self.question = dict(zip(self.ids, problems["question"], strict=True))
        self.truth = {id_: int(answer) for id_, answer in zip(self.ids, problems["answer"], strict=True)}
        own = [f for f in frames if "sampled_tokens" in f and set(f["problem_id"]) == set(self.ids) and plain(f)]
        both = [{(r.problem_id, r.index): r for r in f.itertuples()} for f in own if set(f["index"]) == {0, 1}]
        first = [words for words in both if all(r.round == 1 for r in words.values())]
        # Two frames hold round 1. The one with more right answers has the retries of STaR in it.
        self.first, self.retried = sorted(first, key=lambda words: sum(self.right(words, key) for key in words))
        # Two frames hold round 2. In one of them, critics read the response itself, not a summary; take the other one.
        second = [words for words in both if all(r.round == 2 for r in words.values())]
        listed = {(id_, n): f"Agent 1: {self.first[id_, 1 - n].text}" for id_, n in self.first}
        (self.second,) = (words for words in second if any(r.summary != listed[key] for key, r in words.items()))

    def right(self, words: dict, key: tuple[str, int]) -> bool:
        return answer_of(words[key].text) == self.truth[key[0]]

    def agreed(self, words: dict) -> dict[str, int]:
        """The labels on which both agents agree."""
        votes = {id_: {answer_of(words[id_, n].text) for n in (0, 1)} for id_ in self.ids}
        return {id_: answer for id_, (answer, *others) in votes.items() if not others and answer is not None}

    def generator(self, n: int, labels: dict[str, int], words: dict) -> list:
        """D^G_n: the responses of round 1 that match the label."""
        kept = [id_ for id_ in self.ids if id_ in labels and answer_of(words[id_, n].text) == labels[id_]]
        return [[solve(self.question[id_]), said(words[id_, n].text)] for id_ in kept]

    def critic(self, n: int, labels: dict[str, int]) -> list:
        """D^C+_n: the debates whose first and last responses both match the label."""
        examples = []
        for id_ in self.ids:
            one, two = self.first[id_, n], self.second[id_, n]
            if id_ in labels and answer_of(one.text) == answer_of(two.text) == labels[id_]:
                question = self.question[id_]
                examples.append([solve(question), said(one.text), debated(two.summary, question), said(two.text)])
        return examples


def test_data_sets_are_those_of_the_definitions(frames: list[pd.DataFrame], report: dict) -> None:
    problem_sets = [f for f in frames if list(f.columns) == ["id", "question", "answer"] and len(f) == 20]
    assert len(problem_sets) == len(SEEDS)
    stored = [f["messages"].map(json.loads).tolist() for f in frames if list(f.columns) == ["messages"]]
    retried_well = 0
    for problems in problem_sets:
        words = Words(problems, frames)
        vote, debate = words.agreed(words.first), words.agreed(words.second)
        generators = [words.generator(n, debate, words.first) for n in (0, 1)]
        critics = [words.critic(n, debate) for n in (0, 1)]
        expected = {
            "generator 0": generators[0],
            "generator 1": generators[1],
            "critic 0": critics[0],
            "critic 1": critics[1],
            "pooled generators": joined(generators),
            "pooled critics": joined(critics),
            "single agent": joined([*generators, *critics]),
            "majority": joined(words.generator(n, vote, words.first) for n in (0, 1)),
            "STaR": joined(words.generator(n, words.truth, words.retried) for n in (0, 1)),
        }
        for name, examples in expected.items():
            assert examples and examples in stored, f"no data set of the {len(examples)} examples of {name}"
        for key in words.first:
            if words.right(words.first, key):
                assert words.retried[key].text == words.first[key].text, "a right response is not tried again"
            else:
                retried_well += words.right(words.retried, key)
    assert retried_well > 0, "with the answer as a hint, some responses are right"


def test_mlflow_has_a_run_for_each_method_and_seed(maft: Maft, report: dict) -> None:
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    parent = report["mlflow"]["run_id"]
    runs = client.search_runs(
        [report["mlflow"]["experiment_id"]], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1000
    )
    assert len(runs) == len(METHODS.names()) * len(SEEDS) and {run.info.status for run in runs} == {"FINISHED"}
    found = numbers(report)
    for run in runs:
        name, seed = run.data.tags["maft.method"], int(run.data.tags["maft.seed"])
        points = client.get_metric_history(run.info.run_id, "accuracy")
        assert {p.step: p.value for p in points} == {i: found[name, i, seed][0] for i in iterations(name)}
        assert len(points) == len(iterations(name))
    assert client.get_run(parent).info.status == "FINISHED"
    assert "| multiagent FT |" in client.get_run(parent).data.tags["mlflow.note.content"]


def test_the_report_is_whole_and_in_mlflow(maft: Maft, report: dict, home: Path, tmp_path: Path) -> None:
    page = Path(report["report"]).read_text("utf-8")
    artifacts = f"{maft.environment['MLFLOW_TRACKING_URI']}/get-artifact?run_uuid={report['mlflow']['run_id']}"
    logged = httpx.get(f"{artifacts}&path=report.html").raise_for_status().text
    assert logged == page
    for row in report["rows"]:
        assert METHODS[row["method"]].title in page
    (society,) = (r for r in report["rows"] if (r["method"], r["iteration"]) == ("multiagent-ft", 1))
    assert f"Its accuracy is {100 * society['accuracy']['value']:.1f} % after 1 iteration." in page
    # The command runs in another home, so it reads only MLflow; its findings must agree with the rows.
    elsewhere = ["--home", str(tmp_path / "other")]
    told = maft.json("report", "--society", "compared", "--output", str(tmp_path / "page.html"), *elsewhere)
    assert (tmp_path / "page.html").read_text("utf-8") == page and told["mlflow"] == report["mlflow"]
    behind = {r["method"]: r["behind"] for r in report["rows"] if r["iteration"] in (0, 1) and r["behind"]}
    named = {c["of"].partition(" − ")[2]: c["found"] for c in told["findings"][0]["comparisons"]}
    assert len(named) == 9
    assert named == {METHODS[name].title: found for name, found in behind.items() if METHODS[name].title in named}
    again = maft("report", report["mlflow"]["run_id"], *elsewhere)
    assert "Multiagent finetuning beats every baseline" in again.stdout
    assert list((tmp_path / "other" / "pictures").glob("compared-*.html"))


def test_the_report_shows_debates_as_they_were_held(maft: Maft, report: dict, frames: list[pd.DataFrame]) -> None:
    artifacts = f"{maft.environment['MLFLOW_TRACKING_URI']}/get-artifact?run_uuid={report['mlflow']['run_id']}"
    debates = httpx.get(f"{artifacts}&path=debates.json").raise_for_status().json()
    assert 0 < len(debates) <= 5
    said = {(r.role, r.index, r.round, r.text) for f in frames if "sampled_tokens" in f for r in f.itertuples()}
    for debate in debates:
        for turn in debate["turns"]:
            role, index = turn["agent"].split()
            assert (role, int(index), turn["round"], turn["text"]) in said
            assert turn["right"] == (answer_of(turn["text"]) == int(debate["reference"]))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--society", "nobody"], "society 'nobody' has no finished benchmark"),
        (["0" * 32], "there is no run"),
        (["--output", "no/where/page.html"], "there is no folder"),
        (["--output", "page.pdf"], "--output page.pdf: the page is HTML"),
        (["--folder", "no/where/files"], "name a folder, or a new folder in one that exists"),
    ],
)
def test_a_report_of_nothing_is_refused(maft: Maft, tmp_path: Path, given: list[str], told: str) -> None:
    refused = maft("report", *given, "--home", str(tmp_path), status=2)
    assert told in refused.stderr and refused.stdout == ""


def test_a_run_that_is_no_finished_benchmark_has_no_report(maft: Maft, report: dict, tmp_path: Path) -> None:
    client = MlflowClient(maft.environment["MLFLOW_TRACKING_URI"])
    experiment, parent = report["mlflow"]["experiment_id"], report["mlflow"]["run_id"]
    method = client.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1)[0].info.run_id
    assert "is not a benchmark" in maft("report", method, "--home", str(tmp_path), status=2).stderr
    begun = client.create_run(experiment, tags={"maft.kind": "benchmark"}).info.run_id
    try:
        assert "is RUNNING" in maft("report", begun, "--home", str(tmp_path), status=2).stderr
        client.set_terminated(begun)
        assert "lacks something" in maft("report", begun, "--home", str(tmp_path), status=2).stderr
    finally:
        client.delete_run(begun)


def test_only_the_society_has_agents_that_differ(report: dict) -> None:
    for each in (each for each in report["measured"] if not each["outcome"]["transfer"]):
        outcome, agents = each["outcome"], each["society"]["generators"]
        learns = METHODS[outcome["method"]].learns
        # The embedded model was not trained with JSON or personas, so there may be no agreement to learn from.
        odd = outcome["method"] in {"json-messages", "personas"} and outcome["unchanged"]
        if outcome["iteration"] == 1 and METHODS[outcome["method"]].finetuned and not odd:
            adapters = {agent["adapter"] for agent in agents}
            assert None not in adapters and len(adapters) == (1 if learns == "all" else len(agents))
            assert outcome["diversity"]["kl"]["value"] > 0 or learns == "all"
        if learns == "all":
            assert outcome["diversity"]["kl"]["value"] == 0


STAGES = [
    "STaR, sees labels · seed 1 · iteration 1 · rationalise",
    "multiagent FT · seed 1 · iteration 1 · finetune",
]
"""The benchmark is killed as soon as one of these steps is done, in the middle of the next step."""


def test_killed_it_goes_on_and_ends_with_the_same_numbers(
    maft: Maft, report: dict, tmp_path: Path, arguments: Callable[..., list[str]]
) -> None:
    command = arguments(tmp_path, [1], SOME)
    for stage in STAGES:
        process = maft.start(*command)
        assert process.stderr is not None
        assert any(line.startswith(stage) for line in process.stderr), f"the command ended before {stage!r}"
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    resumed = maft.json(*command)
    assert numbers(resumed) == numbers(report, [1], SOME)
    assert resumed["cached"] > 0
