"""Where the answer in a response is found. Run: pytest tests/evaluation/test_extract.py"""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.answers.boxes import boxed
from evaluation.answers.equality import equivalent
from evaluation.answers.extract import MAX_ANSWER_CHARS, extract_answer
from evaluation.answers.thoughts import spoken

SHARED = Path(__file__).parents[3] / "shared"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("First \\boxed{1}, no: \\boxed{\\frac{1}{2}} it is.", "\\frac{1}{2}"),
        ("\\boxed{\\boxed{3}}", "3"),
        ("\\boxed {7}", "7"),
        ("\\fbox{7}", "7"),
        ("So \\boxed{12}. Or rather \\boxed{13", "12"),
        ("{{{ \\boxed{4} and a stray {", "4"),
        ("}}} \\boxed{4}", "4"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("\\boxed{a\n  b}", "a b"),
        ("\\boxed{5} #### 6", "5"),
        ("\\boxed{}", None),
        ("The answer is 5, so \\boxed{ }", "5"),  # An empty box says nothing.
        ("48/2 = 24\n#### 72", "72"),
        ("#### 1\n#### 1,000 \nbye", "1,000"),
        ("####", None),
        ("The answer is 1. Wait. THE ANSWER IS: 2!", "2"),
        ("The final answer is **42**.", "42"),
        ("the answer is 3.5 meters.\nOk", "3.5 meters"),
        ("the answer is", None),
        ("so 128. The answer is \\boxed{12", None),
        ("The answer is $\\boxed{12", None),
        ("I do not know.", None),
        ("", None),
        (f"\\boxed{{{'9' * (MAX_ANSWER_CHARS + 1)}}}", None),
        (f"\\boxed{{{'9' * MAX_ANSWER_CHARS}}}", "9" * MAX_ANSWER_CHARS),
        ("\\boxed{1}" + " " * 30_000, None),
    ],
)
def test_extract_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    "piece", ["\\boxed{", "{", "}", "the ", "the answer is ", "#### ", "\\", "\\boxed ", " ", "a.", "*", "\x00", "𝟙"]
)
def test_extraction_of_a_million_repeats_is_quick(piece: str) -> None:
    for text in (piece * 1_000_000, "\\boxed" + piece * 1_000_000, "the answer is" + piece * 1_000_000):
        start = time.process_time()
        extract_answer(text)
        assert time.process_time() - start < 1.0


@given(st.text(alphabet="\\boxed{}#the answer is.7 \n", max_size=200))
def test_extraction_takes_any_text(text: str) -> None:
    answer = extract_answer(text)
    assert answer is None or 0 < len(answer) <= MAX_ANSWER_CHARS


@given(st.recursive(st.text(alphabet="ab+1", max_size=5), lambda inner: inner.map(lambda text: f"{{{text}}}a")))
def test_boxed_returns_what_was_boxed(content: str) -> None:
    assert boxed(f"x {{ \\boxed{{{content}}} }}") == content


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        # formulas on lines of their own
        ("The answer is\n\n\\[\n6\n\\]\n", "6"),
        ("The final answer is:\n$$y = 6$$\nDone.", "y = 6"),
        ("The answer is \\(\\frac{3}{4}\\).", "\\frac{3}{4}"),
        # boxes
        ("It is \\boxed{8}, so \\boxed{}.", "8"),
        ("\\boxed{3} and \\boxed{5}", "3 and 5"),
        ("\\boxed{2}, $\\boxed{4}$", "2, 4"),
        ("\\boxed{\\text{The answer is }8}", "8"),
        ("\\boxed{8", None),
        # marks and headings
        ("#### Step 1: add\n5 and 6\n#### Step 2: end\nThe answer is 11.", "11"),
        ("#### 1. First, we add\nThat gives 11.\nAnswer: 11", "11"),
        ("#### **Final Answer**\n\n**11 m**", "11 m"),
        ("#### Answer: **11**", "11"),
        ("##### 11", "11"),
        ("#### (1, 2)", "(1, 2)"),
        # clauses after the answer, hedges before it
        ("The answer is 24 eggs, altogether.", "24 eggs"),
        ("The answer is 24 (since 2*12=24).", "24"),
        ("The answer is 24; he has 24 left.", "24"),
        ("The answer is 24, i.e. two dozen.", "24"),
        ("The answer is 24 because 2*12 is 24.", "24"),
        ("The answer is therefore approximately 24.5 metres.", "24.5 metres"),
        ("The answer is 6 p.m. on Monday.", "6 p.m."),
        ("The answer to the second question is equal to 6.", "6"),
        ("The answer is 4! = 24.", "4! = 24"),
        ("The answer is 3, 5.", "3, 5"),
        ("The answer is not 24.", None),
        ("The answer is either 24 or 25.", None),
        # labels
        ("**Final Answer**: 42", "42"),
        ("Answer: 42 apples\n\nExplanation: 6*7 = 42.", "42 apples"),
        ("Answer: Let us think. 6*7. Answer: 42", "42"),
        ("Final answer: The final answer is $42$. I hope it is correct.", "$42$"),
        ("Answer: A = 5", "A = 5"),
        ("Answer: Bob", "Bob"),
        # thoughts
        ("<think>It is 4.</think>It is \\boxed{5}.", "5"),
        ("<think>\\boxed{4}? No.</think>\n\nThe answer is 5.", "5"),
        ("It may be \\boxed{4}.\n</think>\nThe answer is 5.", "5"),
        ("<think>It is \\boxed{4}", None),
        ("<think>a</think><think>The answer is 4.", None),
        ("[THINK]The answer is 4.[/THINK]The answer is 5.", "5"),
        # JSON and tags
        ('{"steps": ["6*7"], "answer": 42}', "42"),
        ('Here it is:\n```json\n{"final_answer": "B"}\n```', "B"),
        ('{"answer": null}', None),
        ("<answer> 42 </answer>", "42"),
        # the whole response
        ("42", "42"),
        ("**B**", "B"),
        ("She has 42.", None),
        ("I like A or B.", None),
    ],
)
def test_what_chat_models_write(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("#### 1,234", "1234"),
        ("#### $12.50", "12.5"),
        ("####18", "18"),
        ("#### -5", "-5"),
        ("**Final Answer: B**", "B"),
        ("The answer is **42**!", "42"),
        ("The answer is: \n\n 42", "42"),
        ("The correct option is C.", "C"),
        ("Option C is correct.", "C"),
        ("So the final answer is \\( \\boxed{5} \\)", "5"),
        ("\\boxed{\\textbf{(C)}}", "C"),
        ("\\boxed{5 \\text{ apples}}", "5"),
        ("\\boxed5", "5"),
        ("$\\boxed 5$", "5"),
        ("ANSWER: 5", "5"),
        ("Ans: 5", "5"),
        ("Answer = 5", "5"),
        ("Answer is 5", "5"),
        ("Thus, the answer is $x=5$, $y=6$.", "y=6, x=5"),
        ("The answer is B) 12.", "B"),
        ("The answer is C: 12", "C"),
        ("The answer is “B”.", "B"),
        ('{"answer": ["3","5"]}', "3,5"),
        ('{"answer": true}', "true"),
        ("Answer:\n- 5 apples", "5"),
        ("The answer is:\n1. 5\n2. 6", None),
        ("### Final Answer\n\n7", "7"),
        ("**Final Answer**\n\n**7 km**", "7"),
        ("## Answer\nWe add 3 and 4.", None),
        ("My final answer: 7", "7"),
        ("The answer is approximately equal to 5.", "5"),
        ("The answer is roughly $1.5 million.", "1500000"),
        ("The answer is no solution.", "no solution"),
        ("Therefore, the answer is:\n\\[\nx = \\frac{3}{4}\n\\]", "0.75"),
        ("**Answer: $12**", "12"),
        ("The answer is 12.5%.", "12.5"),
        ("The answer is 3:45 p.m.", "3:45 pm"),
        ("I'd say the answer is 8, but I am not sure.", "8"),
        ("The answer is (C), because...", "C"),
        ("A", "A"),
        ("(A)", "A"),
        ("The answer is A.", "A"),
        ("Answer: A\n\nExplanation: B is wrong.", "A"),
        ("The answer is 9 (nine).", "9"),
        ("the answer is: $\\dfrac{5}{3}$", "5/3"),
        ("The answer is $10 per hour.", "10"),
        ("<think>\\boxed{3}</think>", None),
        ("\\boxed{5}\n\\boxed{}", "5"),
        ("The final answer is $\\boxed{10}$ dollars.", "10"),
        ("So we get 5 + 3 = 8. The answer is 5 + 3 = 8.", "8"),
        ("#### Final answer: 8 apples", "8"),
        ("#### 8 apples", "8"),
        ("#### The final answer is **8**", "8"),
        ("Answer: The answer is 8", "8"),
        ("The answer is therefore $8$, as required.", "8"),
        ("The answer is 8 and I am done", "8"),
        ("Answer: **(B) 7**", "B"),
        ("The answer is\n5", "5"),
        ("The answer is 2^{10} = 1024.", "1024"),
        ("The answer is between 5 and 6.", None),
        ("The answer is 1,2,3.", "3,2,1"),
        ("\\boxed{A} is wrong, so \\boxed{C}", "C"),
        ("\\boxed{(1, 2)}", "(1,2)"),
        ('```json\n{"answer": 7}\n```', "7"),
        ("The answer is 4. The other is 5.", "4"),
        ("The answer is 4? No, the answer is 6.", "6"),
    ],
)
def test_what_chat_models_mean(text: str, answer: str | None) -> None:
    found = extract_answer(text)
    assert found is None if answer is None else equivalent(found, answer)


@pytest.mark.parametrize("text", ["The answer is A or B.", "\\boxed{A or C}", "The answer is (A), (B) or (C)."])
def test_a_choice_of_choices_is_no_answer(text: str) -> None:
    assert extract_answer(text) is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="the files are not on this machine")
def test_responses_that_came_out_wrong() -> None:
    for line in (SHARED / "cases/extract.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        answer = extract_answer(row["text"])
        assert equivalent(answer, row["answer"]) or (answer is None and row["answer"] == ""), (row, answer)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the files are not on this machine")
def test_gsm8k_is_graded_as_its_references_say() -> None:
    seen = 0
    for name in ("gsm8k_test.jsonl", "gsm8k_train_1000.jsonl"):
        for line in (SHARED / "data" / name).read_text("utf-8").splitlines():
            solution = json.loads(line)["answer"]
            reference = solution.rpartition("####")[2].strip()
            for said in (solution, f"So \\boxed{{{reference}}}.", f"The answer is ${reference} dollars."):
                assert equivalent(extract_answer(said), reference), (said, reference)
            assert not equivalent(extract_answer(solution), f"{reference}1")
            seen += 1
    assert seen == 2319


@pytest.mark.parametrize(
    "piece", ["<think>", "</think>", "<think>a</think>", '{"answer": ', "####\n", "Answer: ", "and "]
)
def test_thoughts_and_marks_of_a_million_repeats_are_quick(piece: str) -> None:
    for text in (piece * 1_000_000, piece * 1_000_000 + "\\boxed{1}"):
        start = time.process_time()
        spoken(text)
        extract_answer(text)
        assert time.process_time() - start < 1.0
