r"""Extracts the answer from a response. `evaluation.answers.equality` compares answers.

    extract_answer("... so 296. \\boxed{296}")            ->  "296"
    extract_answer("<think>4?</think> The answer is 5.")  ->  "5"
    extract_answer("The answer is A or B.")               ->  None

The first of these that a response has is its answer. Thoughts in <think> are left out before.

1  a JSON object with the field `answer` or `final_answer`, or the text in <answer>...</answer>
2  the last \boxed{...} that is not empty; boxes that are joined by "and" or a comma are one
3  the text after #### on a line (GSM8K's form); after a heading such as #### Final Answer, the next line
4  what follows the last "the answer is" or "Answer:", up to the end of the sentence or to a clause that explains it
5  the choice in "the right option is (B)", or a (B) at the very end
6  the whole response, if it is one line that holds nothing but an answer

A model may write anything. So extraction takes linear time, and all but the thoughts reads only the last TAIL_CHARS
characters.
"""

import json
import re

from evaluation.answers.boxes import bare_box, boxed
from evaluation.answers.form import Form, form
from evaluation.answers.thoughts import spoken

TAIL_CHARS = 20_000
MAX_ANSWER_CHARS = 200

_JSON_FIELDS = ("answer", "final_answer", "final answer")
_OBJECT = re.compile(r"\{[^{}]*\}\s*(?:```)?\s*$")

_AS_TEXT = re.compile(r"\\text\{([^{}]*)\}")
_TAGGED = re.compile(r"<answer>([^<]{1,1000})</answer>", re.IGNORECASE)

_MARK = re.compile(r"^[ \t]*#{4,}[ \t]*([^\n]*)", re.MULTILINE)
_INLINE_MARK = re.compile(r"#{4,}[ \t]*([^\n]*)")
_HEADING = re.compile(
    r"[\s*_]{0,5}(?:(?:the\s)?(?:final\s|correct\s)?(?:answer|solution|result)|conclusion)[\s*_:]{0,5}", re.IGNORECASE
)
_NUMBERED = re.compile(r"\**(?:step\b|part\b|case\b|\d+[.)]\s+[A-Za-z]{2})", re.IGNORECASE)

_PHRASE = re.compile(
    r"\b(?:the\s+)?(?:(?:final|correct|right|best|overall)\s+)?ans(?:wer)?\b(?:\s+(?:to|for)(?:\s+[\w']+){1,8}?)?"
    r"[\s*_]{0,3}(?:\b(?:is|are|would\s+be|should\s+be|must\s+be|will\s+be)\b(?:[\s*_]{0,3}:)?|[:=])"
    r"|(?P<heading>^[#*_ \t]{1,8}(?:the\s)?(?:final\s|correct\s)?answer[*_:. \t]{0,5}$)",
    re.IGNORECASE | re.MULTILINE,
)
_BULLET = re.compile(r"[\s:*_]*\n\s*(?:[-*\u2022]|\d\.)[ \t]+(?=\S)")
_LIST = re.compile(r"[\s:*_]*\n?\s*(?:[-*\u2022]|1[.)])[ \t]+\S[^\n]*\n\s*(?:[-*\u2022]|2[.)])[ \t]")
_HEDGE = re.compile(
    r"(?:(?:about|approximately|approx\.|around|roughly|nearly|exactly|equal to|simply|just|only|probably|likely|thus|"
    r"therefore|clearly|indeed|still|now|then|given by|as follows|the (?:letter|value|number))(?![A-Za-z])"
    r"|=|:|\u2248|\u2192)[\s:]*",
    re.IGNORECASE,
)
# The dot of an abbreviation ends no sentence.
_SENTENCE_END = re.compile(
    r"(?<![ap]\.m)(?<!\bi\.e)(?<!\be\.g)(?<!\bvs)(?<!\bNo)(?<!\bapprox)(?:[.?]|!(?! ?[=!]))(?=[\s*_\"'\u201d)]|$)|\n"
)
_DISPLAY = re.compile(r"(?:\\\[|\$\$)\s*(.*?)\s*(?:\\\]|\$\$|$)", re.DOTALL)
_CLAUSE = re.compile(
    r"\s*[,;:(\u2014\u2013]\s*(?=\"?(?!(?:and|or)\b)[A-Za-z]{2,}|i\.e\.|e\.g\.)"
    r"|\s+-\s+(?=[A-Za-z]{2,})"
    r"|[\s,;]+(?:because|since|so|as|which|where|when|if|but|meaning|giving|making|i\.e\.|that is|in total"
    r"|altogether)\b"
    r"|[\s,;]+and\s+(?=I\b|[a-z]{2,}\b)"
    r"|\s+(?:on|in|for|after|from)\s+(?=[A-Za-z]{2,})"
    r"|\s*,?\s*(?:so )?\$?\\(?:boxed|fbox)\s*\{\s*\}"
)
_REASON = re.compile(r"[\s,;(]+(?:because|since|which|i\.e\.|that is)\b")
_LET_US = re.compile(r"let(?:'|\u2019)?s\b|let us\b", re.IGNORECASE)
_NOT = re.compile(r"(?:not|neither|either|between|unknown|unclear|undetermined)\b", re.IGNORECASE)
_LETTERS_OR = re.compile(r"[\s*(]*[A-J][\s*)]*(?:,[\s*(]*[A-J][\s*)]*){0,8},?\s*\bor\b[\s*(]*[A-J][\s*)]*")

# A choice at the start of an answer with no other choice: (B) mitosis, B) mitosis, option B, B because ...
_CHOICE = re.compile(
    r"(?:(?i:option|choice|letter) [(\[]?([A-J])[)\]]?(?![\w'])|[(\[]?([A-J])[)\]](?![^\s.,:;*])"
    r"|([A-J])(?=\**,? (?:because|since|not)\b|\**, [a-z]{3,}|\**: |\**\. |\** \(|\**$))"
    r"(?!.*\([A-J]\))(?!.*(?<![A-Za-z])[A-J][).:] )(?!.*[,;] ?[A-J](?![A-Za-z]))"
)
# A choice in a text that marks no answer in another way: the correct option is (B).
_NAMED_CHOICE = re.compile(
    r"\b(?i:option|choice)\s\(?([A-J])\)?\s(?i:is)\s(?:(?i:the)\s)?(?i:correct|right|best)\b"
    r"|\b(?i:answer|option|choice)(?:\s{1,3}(?i:is)\b|\s{0,3}:)[\s:*]{0,5}\(?([A-J])(?:\)|(?![\w'(])(?!\s{0,3}[-+*/^=<>]))"
)
_LAST_CHOICE = re.compile(r"\(([A-J])\)[\s.*]{0,5}$")


def extract_answer(text: str) -> str | None:
    """The final answer in a response; the module lists where it is looked for.

    Returns:
        The answer with white space folded; for a choice such as "(B) mitosis", its letter. None if there is no answer,
        if it is ambiguous, as in "A or B", or if it is empty or longer than MAX_ANSWER_CHARS.
    """
    text = spoken(text)[-TAIL_CHARS:]
    answer = _marked(text)
    if answer is None:
        named = [*_NAMED_CHOICE.finditer(text)] or [*_LAST_CHOICE.finditer(text)]
        return str(named[-1][named[-1].lastindex or 0]) if named else _whole(text)
    answer = _fitting(answer)
    if answer is None or _LETTERS_OR.fullmatch(answer):
        return None
    choice = _CHOICE.match(answer)
    return str(choice[choice.lastindex or 0]) if choice else answer


def marked_answer(text: str, *, whole: bool) -> str | None:
    """The answer at one of the places 1 to 4 of the module's list, as it is written, whatever it is.

    Args:
        text: the response.
        whole: whether a response of one line without such a place is an answer itself.
    """
    text = spoken(text)[-TAIL_CHARS:]
    answer = _marked(text)
    if answer is None and whole and "\n" not in text.strip():
        answer = text
    return _fitting(answer) if answer is not None else None


def _fitting(answer: str) -> str | None:
    """The answer with white space folded; None if it is empty or too long."""
    answer = " ".join(answer.split())
    return answer if 0 < len(answer) <= MAX_ANSWER_CHARS else None


def _marked(text: str) -> str | None:
    answer = _from_json(text)
    if answer is None and (tags := _TAGGED.findall(text)):
        answer = tags[-1]
    if answer is None:
        answer = boxed(text) or bare_box(text)
    if answer is not None and _PHRASE.search(answer):
        answer = _after_phrase(_AS_TEXT.sub(r"\1", answer))
    if answer is None:
        answer = _after_mark(text)
    return _after_phrase(text) if answer is None else answer


def _from_json(text: str) -> str | None:
    """The answer in a JSON object that is, or ends, the response; None if there is no such object or field."""
    if '"' not in text[-2_000:]:
        return None
    found = _OBJECT.search(text[-2_000:])
    candidates = [text.strip().removeprefix("```json").strip("`").strip(), found[0].strip("` \n") if found else ""]
    for candidate in candidates:
        if not (candidate.startswith("{") and candidate.endswith("}")):
            continue
        try:
            fields = json.loads(candidate, parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            continue
        named = {str(name).casefold(): value for name, value in fields.items()}
        value = next((named[field] for field in _JSON_FIELDS if field in named), None)
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = ", ".join(value)
        if isinstance(value, str | bool):
            return str(value).lower() if isinstance(value, bool) else value
    return None


def _after_mark(text: str) -> str | None:
    """The text after the last ####, or under it if it is a heading; None if there is no answer in either place."""
    marks = list(_MARK.finditer(text)) or list(_INLINE_MARK.finditer(text))
    for mark in reversed(marks[-20:]):
        line, below = mark[1].strip(" \t*#"), text[mark.end() :].strip()
        if _PHRASE.search(line):
            return _after_phrase(line)
        if _HEADING.fullmatch(line) and below:
            line = below.partition("\n")[0].strip(" \t*")
            if _is_answer(line):
                return line
        elif not line:
            return ""
        elif not _NUMBERED.match(line) and (not below or _is_answer(line)):
            return line
    return None


def _after_phrase(text: str) -> str | None:
    """The text after the last "the answer is", up to the end of the sentence; None if it is an unclosed box."""
    for phrase in reversed(list(_PHRASE.finditer(text))[-20:]):
        rest = text[phrase.end() :][: 2 * MAX_ANSWER_CHARS]
        if _LIST.match(rest):
            return None  # Several points: it is not certain that they are one answer.
        rest = _BULLET.sub("", rest, count=1).lstrip(" \t\n:*_") if _BULLET.match(rest) else rest.lstrip(" \t\n:*_")
        if re.match(r"[\s$*(]*\\(?:boxed|fbox)", rest):
            return None  # No box is closed: the response was cut, perhaps in the middle of a number.
        shown = _DISPLAY.match(rest)
        said = _sentence(rest) if not shown else shown[1].rstrip(" .,;")
        if _NOT.match(said):
            return None
        if said and not _LET_US.match(said) and (not phrase["heading"] or _is_answer(said)):
            return said
    return None


def _sentence(rest: str) -> str:
    """The answer at the start of a text: without hedges before it, and without the clause that explains it."""
    rest = rest.replace("\\(", "").replace("\\)", "").lstrip()
    end = _SENTENCE_END.search(rest)
    said = rest[: end.start() if end else None].strip(" \t*_:")
    while hedge := _HEDGE.match(said):
        said = said[hedge.end() :]
    for clause in _CLAUSE.finditer(said):
        head = said[: clause.start()].strip(" \t*_:,;")
        if _is_answer(head.strip("\"'`")):
            return head
    reason = _REASON.search(said)
    return said[: reason.start()] if reason and reason.start() else said


def _whole(text: str) -> str | None:
    """The whole response, if it is one line that holds only an answer other than words."""
    line = text.strip(" \n\t*")
    return line if "\n" not in line and "\\boxed" not in line and _is_answer(line) else None


def _is_answer(text: str) -> bool:
    """Whether a text is an answer by its form, and not words."""
    if not 0 < len(text) <= MAX_ANSWER_CHARS:
        return False
    return _is_known(form(text))


def _is_known(read: Form) -> bool:
    """Whether a form has no part that is words."""
    if not isinstance(read, tuple):
        return True
    return read[0] not in ("words", "text") and all(_is_known(part) for part in read if isinstance(part, tuple))
