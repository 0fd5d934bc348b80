r"""Extracts the answer from a model's text; other modules compare answers and count votes.

    extract_answer("... so 296. \\boxed{296}")     ->  "296"
    equivalent("1,000", "$1000.00")                ->  True
    majority(["1/2", "0.5", "2", None], seed=1)    ->  "1/2"

A model may write anything. So extraction takes linear time in at most TAIL_CHARS characters, and a comparison is
bounded in time and memory (see `evaluation.answers.symbolic`).
"""

import re

TAIL_CHARS = 20_000
MAX_ANSWER_CHARS = 200

# An escaped character is matched as one token, so that \{ and \} of a set do not count as braces.
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_PHRASE = re.compile(r"\bthe\s+(?:(?:final|correct|right)\s+)?answer\s+is\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?](?=[\s*]|$)|\n")
# A choice at the start of an answer with no other choice: (B) mitosis, B) mitosis, option B, B because ...
_CHOICE = re.compile(
    r"(?:(?i:option|choice) \(?([A-J])\)?(?![\w'])|\(?([A-J])\)(?![^\s.,:;*])|([A-J])(?=,? (?:because|since)\b))"
    r"(?!.*\([A-J]\))"
)
# A choice in a text that marks no answer in another way: Answer: B, the correct option is (B).
_NAMED_CHOICE = re.compile(
    r"\b(?i:answer|option|choice)(?:\s{1,3}(?i:is)\b|\s{0,3}:)[\s:*]{0,5}\(?([A-J])(?:\)|(?![\w'(])(?!\s{0,3}[-+*/^=<>]))"
)
_LAST_CHOICE = re.compile(r"\(([A-J])\)[\s.*]{0,5}$")


def boxed(text: str) -> str | None:
    r"""The content of the last closed \boxed{...} (of two nested ones, the inner); None if there is none."""
    opened: list[tuple[int, int] | None] = []
    last: tuple[int, str] | None = None
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            opened.append(None)
        elif token[0].endswith("{") and len(token[0]) > 2:
            opened.append(token.span())
        elif token[0] == "}" and opened:
            box = opened.pop()
            if box and (last is None or box[0] > last[0]):
                last = box[0], text[box[1] : token.start()].strip()
    return last[1] if last else None


def extract_answer(text: str) -> str | None:
    r"""The final answer in a response.

    The first of these that the response has: the content of the last \boxed{...}; the text after the last `####` on its
    line (GSM8K's form); the text after the last "the answer is", up to the end of the sentence; the choice in the last
    "Answer: B" or "the right option is (B)"; a "(B)" at the very end. Only the last TAIL_CHARS characters are read.

    Returns:
        The answer with white space folded; for a choice such as "(B) mitosis", its letter. None if there is no answer,
        or if it is empty or longer than MAX_ANSWER_CHARS.
    """
    text = text[-TAIL_CHARS:]
    answer = boxed(text)
    if answer is None:
        _, mark, after = text.rpartition("####")
        answer = after.lstrip(" \t").partition("\n")[0] if mark else _after_phrase(text)
    if answer is None:
        named = _NAMED_CHOICE.findall(text) or _LAST_CHOICE.findall(text)
        return named[-1] if named else None
    answer = " ".join(answer.split())
    if not 0 < len(answer) <= MAX_ANSWER_CHARS:
        return None
    choice = _CHOICE.match(answer)
    return str(choice[choice.lastindex or 0]) if choice else answer


def _after_phrase(text: str) -> str | None:
    """The text after the last "the answer is", up to the end of the sentence; None if it is an unclosed box."""
    ends = [found.end() for found in _PHRASE.finditer(text)]
    if not ends:
        return None
    rest = text[ends[-1] :][: 2 * MAX_ANSWER_CHARS].lstrip(" \t\n:*")
    if rest.lstrip("$").startswith(("\\boxed", "\\fbox")):
        return None  # No box is closed: the response was cut, perhaps in the middle of a number.
    end = _SENTENCE_END.search(rest)
    return rest[: end.start() if end else None].strip(" \t*:")
