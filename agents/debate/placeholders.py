r"""Placeholders in the text of a prompt, such as {question}: the check of a text, and how it is filled.

    {question}            the problem
    {agents}              the numbered responses that are summarised
    {others}              what a critic reads of the other agents
    {number}, {response}  one response in such a list, counted from 1

A text is filled in one pass: braces in what is filled in stay as they are.

Any other word alone between braces is refused, since it looks like a placeholder and would be read as it is written:
{anwser}, {problem}. Braces that are plainly something else stay as they are: those of LaTeX (\boxed{answer},
\frac{a}{b}, x^{n}), of JSON ({"answer": 7}), of several words or numbers ({1,2}), and double ones ({{word}}).
"""

import difflib
import re
from dataclasses import dataclass

# A command with its arguments, an index or a power: \boxed{x}, \frac{a}{b}, \sqrt[3]{x}, x^{n}, a_{k}. \n is
# no command, but a line end as a shell passes it on.
_LATEX = re.compile(r"(?:\\(?!n\{)[A-Za-z]+\*?(?:\[[^][]*\])?|[\^_])(?:\{[^{}]*\})+")
_WORD = re.compile(r"(?<!\{)\{\s*([^\W\d]\w*)\s*\}(?!\})")
_SIMILAR = 0.8
"""How similar a word must be to a placeholder to be taken for a misspelling, see `difflib.SequenceMatcher.ratio`."""


@dataclass(frozen=True)
class Placeholders:
    """The placeholders of one kind of prompt; a call checks a text and returns it unchanged.

    Args:
        needed: names that a text must have.
        optional: names that it may have.
    """

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def __call__(self, text: str) -> str:
        """Check a text.

        Raises:
            ValueError: the text is blank, lacks a needed placeholder, or has a word in braces that is none of its
                placeholders; the message says what would be right.
        """
        if not text.strip():
            raise ValueError("a text is needed")
        own = (*self.needed, *self.optional)
        words = {found[0]: found[1] for found in _WORD.finditer(_without_latex(text))}
        for braced, word in words.items():
            if braced not in {f"{{{name}}}" for name in own}:
                raise ValueError(f"{braced} is not filled in here; {_right(word, own)}")
        for name in self.needed:
            if not _mark(name).search(text):
                raise ValueError(f"{{{name}}} is missing; write {{{name}}} where it belongs")
        return text


def _without_latex(text: str) -> str:
    """The text with $ in place of LaTeX commands and their arguments, however they are nested."""
    found = 1
    while found:
        text, found = _LATEX.subn("$", text)
    return text


def _right(word: str, own: tuple[str, ...]) -> str:
    """What to write instead of a word in braces that is none of the text's own placeholders."""
    if close := difflib.get_close_matches(word.lower(), own, n=1, cutoff=_SIMILAR):
        return f"did you mean {{{close[0]}}}?"
    listed = ", ".join(f"{{{name}}}" for name in own) or "none"
    return f"placeholders of this text: {listed}; if the model shall read a word in braces, write {{{{{word}}}}}"


def _mark(names: str) -> re.Pattern[str]:
    """A placeholder of this name, or of one of several, joined by |."""
    return re.compile(r"(?<!\{)\{(" + names + r")\}(?!\})")


def filled(text: str, **values: str) -> str:
    """The text with `{name}` replaced by the value of that name, wherever it stands; values are not filled in turn."""
    return _mark("|".join(values)).sub(lambda found: values[found[1]], text)
