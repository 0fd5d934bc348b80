"""JSON arrays, compressed files and numbers of single precision. Run: pytest tests/evaluation/test_containers.py"""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import Dataset, Features, Value
from hypothesis import given
from hypothesis import strategies as st

from evaluation.problems.files import read_problems
from evaluation.problems.problem import ProblemFileError
from evaluation.problems.rows import MAX_UNPACKED_BYTES, file_rows
from evaluation.problems.settings import Problems
from evaluation.problems.sources import load_held_out

ROWS = [{"question": "One?", "answer": 1.50}, {"question": "Two?", "answer": 10**30}]
ONE, TWO = (json.dumps(row) for row in ROWS)


def packed(path: Path, text: str) -> str:
    path.write_bytes(gzip.compress(text.encode("utf-8")))
    return str(path)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        (f"[{ONE}, {TWO}]", ["1", "1"]),
        (f"\ufeff\n[\n  {ONE},\n\n  {TWO}\n]\n", ["3", "5"]),
        ("[\n" + json.dumps(ROWS[0], indent=2) + ",\n" + json.dumps(ROWS[1], indent=2) + "]", ["2", "6"]),
        (f'{{"data": [{ONE}, {TWO}]}}', ["item 1", "item 2"]),
        (f"{ONE}\n\n{TWO}\n", ["1", "3"]),
    ],
)
def test_json(tmp_path: Path, text: str, places: list[str]) -> None:
    for path in (write(tmp_path / "a.json", text), packed(tmp_path / "a.JSON.gz", text)):
        located = read_problems(path)
        assert [problem.answer for problem, _ in located] == ["1.5", str(10**30)]
        assert [where for _, where in located] == [f"{path}:{place}" for place in places]


def test_jsonl_gz(tmp_path: Path) -> None:
    path = packed(tmp_path / "a.jsonl.gz", f"{ONE}\n{TWO}")
    assert [where for _, where in read_problems(path)] == [f"{path}:1", f"{path}:2"]


def test_one_problem_in_a_file_as_in_math(tmp_path: Path) -> None:
    row = {"problem": "What is $8+8$?", "level": "Level 1", "type": "Algebra", "solution": "It is $\\boxed{16}$."}
    path = write(tmp_path / "12.json", "\n" + json.dumps(row, indent=4))
    assert [(p.answer, where) for p, where in read_problems(path)] == [("16", f"{path}:2")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", ": no problems in it"),
        ("[]", ": no problems in it"),
        ('{"rows": []}', ": no problems in it"),
        (f"[\n{ONE},\n{TWO[:-3]}", ":3: not JSON"),
        (f"[\n{ONE}\n{TWO}]", ":3: not JSON (found '{\"question' after a value); the file must be one array"),
        (f"[\n{ONE},\n]", ":3: not JSON"),
        (f"[\n{ONE}", ":2: not JSON (found nothing after a value)"),
        (f"[{ONE}]\n[{TWO}]", ":2: not JSON (found '[{\"questio' after a value)"),
        (f"[{ONE}]]", ":1: not JSON (found ']' after a value)"),
        (f"{ONE}\n]", ":2: not JSON (found ']' after a value)"),
        (f"{ONE}\n{TWO[:-3]}", ":2: not JSON"),
        (f'[\n{ONE},\n["Two?", 2]]', ':3: a list, not an object such as {"question": ..., "answer": ...}'),
        (f'{{"data": [{ONE}, 5]}}', ":item 2: text, not an object"),
        ('"text"', ":1: text, not an object"),
        ('[\n{"question": "One?", "answer": NaN}]', ":2: not JSON (NaN is not JSON)"),
        ("[" * 100_000, ":1: not JSON"),
        ('{"a":' * 100_000, ":1: not JSON"),
        (f'[{ONE},\n{{"question": "Two?"}}]', ":2: no field 'answer'"),
        (f"[{ONE},\n{ONE}]", ":2: the same question as"),
        ('{"question": {"0": "One?"}, "answer": {"0": 1}}', ":1: 'question' is an object"),
    ],
)
def test_faults_of_json(tmp_path: Path, text: str, fault: str) -> None:
    path = write(tmp_path / "a.json", text)
    with pytest.raises(ProblemFileError) as error:
        read_problems(path)
    assert str(error.value).startswith(path + fault)


def test_a_long_array_is_read_in_linear_time(tmp_path: Path) -> None:
    count = 50_000
    text = "[" + ",\n".join(json.dumps({"question": f"{n}?", "answer": n}) for n in range(count)) + "]"
    rows = [*file_rows(write(tmp_path / "a.json", text))]
    assert rows[-1][0] == f"{tmp_path / 'a.json'}:{count}"


@pytest.mark.parametrize(
    "data",
    [b"plain", gzip.compress(b"x" * 1_000, mtime=0)[:-9], gzip.compress(b"{}", mtime=0) + b"rest"],
    ids=["plain", "cut", "followed"],
)
def test_what_is_not_gzip_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(data)
    with pytest.raises(ProblemFileError, match=r"a\.jsonl\.gz: not gzip .*; compress .* or name it without \.gz"):
        read_problems(str(path))


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(MAX_UNPACKED_BYTES // 2**20):
            file.write(b" " * 2**20)
        file.write(b" ")
    assert path.stat().st_size < 2 * 2**20
    with pytest.raises(
        ProblemFileError, match=rf"unpacks to more than {MAX_UNPACKED_BYTES} bytes; unpack it, and name"
    ):
        read_problems(str(path))


@pytest.mark.parametrize("name", ["a.gz", "a.csv.gz", "a.txt.gz"])
def test_other_compressed_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProblemFileError, match=r"ends in .*\.jsonl\.gz, \.json\.gz, .*, not in (\.csv|\.txt)?\.gz"):
        read_problems(packed(tmp_path / name, ONE))


@given(st.text(alphabet='[]{}",:1a \n', max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any.json", text)
    with pytest.raises(ProblemFileError):
        read_problems(path)


SINGLE = [0.1, 5.0, 2.675, 1e-5]
SHORT = ["0.1", "5.0", "2.675", "1e-05"]


def test_single_precision_in_parquet(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    texts = [f"{n}?" for n in range(4)]
    pa.parquet.write_table(pa.table({"question": texts, "answer": pa.array(SINGLE, pa.float32())}), path)
    assert [problem.answer for problem, _ in read_problems(path)] == SHORT
    choices = pa.array([SINGLE] * 4, pa.list_(pa.float32()))
    pa.parquet.write_table(pa.table({"question": texts, "choices": choices, "answer": [0, 1, 2, 3]}), path)
    assert "(A) 0.1\n(B) 5.0\n(C) 2.675\n(D) 1e-05" in read_problems(path)[0].problem.question
    pa.parquet.write_table(pa.table({"question": texts, "answer": pa.array([None, 1, 2, 3], pa.float32())}), path)
    with pytest.raises(ProblemFileError, match=":row 1: 'answer' is blank"):
        read_problems(path)


def test_single_precision_in_a_data_set(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": value} for n, value in enumerate(SINGLE)]
    features = Features({"question": Value("string"), "answer": Value("float32")})
    Dataset.from_list(rows, features=features).to_parquet(tmp_path / "test.parquet")
    held_out = load_held_out(Problems(evaluation=f"hub:{tmp_path}:test"), 1)
    assert {problem.answer for problem in held_out} == {*SHORT}
