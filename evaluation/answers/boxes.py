r"""Finds boxed answers, \boxed{...} and \fbox{...}, in a text."""

import re

# An escaped character is matched as one token, so that \{ and \} of a set do not count as braces.
_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\.|[{}]", re.DOTALL)
_JOINED = re.compile(r"[\s$]{0,5}(?:(,)|(?:,\s?)?(and))[\s$]{0,5}")
_BARE = re.compile(r"\\(?:boxed|fbox) ?([A-Za-z]|[+-]?\d[\d.,]*)(?![A-Za-z{])")


def boxed(text: str) -> str | None:
    r"""The content of the last closed \boxed{...} that is not empty (of two nested ones, the inner).

    Boxes that are joined, as in \boxed{3} and \boxed{5}, are one answer, "3 and 5". Empty text if all boxes are empty;
    None if there is no box.
    """
    boxes = _boxes(text)
    full = [box for box in boxes if box[2]]
    if not full:
        return "" if boxes else None
    start, _, answer = full[-1]
    for before, end, content in reversed(full[:-1]):
        joint = _JOINED.fullmatch(text, end, start) if end <= start else None
        if not joint:
            break
        answer, start = f"{content}, {answer}" if joint[1] else f"{content} {joint[2]} {answer}", before
    return answer


def _boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of all closed boxes, in the order of their starts."""
    opened: list[tuple[int, int] | None] = []
    found = []
    for token in _BRACES.finditer(text):
        if token[0] == "{":
            opened.append(None)
        elif token[0].endswith("{") and len(token[0]) > 2:
            opened.append(token.span())
        elif token[0] == "}" and opened:
            box = opened.pop()
            if box:
                found.append((box[0], token.end(), text[box[1] : token.start()].strip()))
    return sorted(found)


def bare_box(text: str) -> str | None:
    r"""The letter or number after the last \boxed without braces, as in \boxed 5; None if there is none."""
    found = _BARE.findall(text)
    return str(found[-1]).rstrip(".,") if found else None
