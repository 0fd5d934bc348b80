r"""Placeholders in the text of a prompt, such as {question}: the check of a text, and how it is filled.

Only the names of NAMES between braces, without spaces, are placeholders. All other braces stay as they are, such as
those of \boxed{}, of x^{12} and of JSON. A text is filled in one pass: braces in what is filled in stay as they are.
"""

import difflib
import re
from dataclasses import dataclass

NAMES = ("question", "agents", "others", "number", "response")
"""question: the problem; agents: the numbered responses that are summarised; others: what a critic reads of the other
agents; number and response: one response in such a list, counted from 1."""

# A word in braces that follows a letter, a brace, ^ or _ belongs to LaTeX: \boxed{x}, \frac{a}{b}, x^{n}.
_WORD = re.compile(r"(?<![\w}^])\{\s*(\w+)\s*\}")
_SIMILAR = 0.8
"""How similar a word must be to a placeholder to count as a misspelling, see `difflib.SequenceMatcher.ratio`."""


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
            ValueError: the text is blank, lacks a needed placeholder, or has a word in braces that is a placeholder of
                another prompt or resembles one; the message says what would be right.
        """
        if not text.strip():
            raise ValueError("a text is needed")
        for name in self.needed:
            if f"{{{name}}}" not in text:
                raise ValueError(f"{{{name}}} is missing; write {{{name}}} where it belongs")
        own = (*self.needed, *self.optional)
        for found in _WORD.finditer(text):
            if found[0] not in {f"{{{name}}}" for name in own}:
                self._refuse_similar(found[0], found[1].lower())
        return text

    def _refuse_similar(self, braced: str, word: str) -> None:
        own = (*self.needed, *self.optional)
        for names in (own, NAMES):
            if close := difflib.get_close_matches(word, names, n=1, cutoff=_SIMILAR):
                listed = ", ".join(f"{{{name}}}" for name in own) or "none"
                right = f"did you mean {{{close[0]}}}?" if close[0] in own else f"placeholders of this text: {listed}"
                raise ValueError(f"{braced} is not filled in here; {right}")


def filled(text: str, **values: str) -> str:
    """The text with `{name}` replaced by the value of that name, wherever it stands; values are not filled in turn."""
    return re.sub(r"\{(" + "|".join(values) + r")\}", lambda found: values[found[1]], text)
