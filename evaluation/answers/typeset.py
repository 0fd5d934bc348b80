r"""Rewrites an answer in one form: Unicode mathematics as LaTeX, without the marks that only change how it looks.

    ½, １２, √2, x², 5×10³     ->  1/2, 12, \sqrt{2}, x^{2}, 5\times 10^{3}
    $\left(1,\! 2\right)$.     ->  (1,2)
    \dfrac12, {5 \choose 2}    ->  \frac{1}{2}, \binom{5}{2}

Every pattern here takes linear time.
"""

import re
import unicodedata

_SYMBOLS = {
    "\u2212": "-",
    "\u2010": "-",
    "\u2011": "-",
    "\u2012": "-",
    "\u2013": "-",
    "\u2014": "-",
    "\u2044": "/",
    "\u2215": "/",
    "\u00f7": "/",
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "\u200b": "",
    "\u2061": "",
    "\u2062": "",
    "\ufeff": "",
    "\u00d7": r"\times ",
    "\u22c5": r"\cdot ",
    "\u00b7": r"\cdot ",
    "\u2219": r"\cdot ",
    "\u2217": "*",
    "\u00b0": r"^\circ ",
    "\u221e": r"\infty ",
    "\u2264": r"\le ",
    "\u2265": r"\ge ",
    "\u2a7d": r"\le ",
    "\u2a7e": r"\ge ",
    "\u2260": r"\ne ",
    "\u2248": r"\approx ",
    "\u2243": r"\approx ",
    "\u2245": r"\approx ",
    "\u00b1": r"\pm ",
    "\u2208": r"\in ",
    "\u222a": r"\cup ",
    "\u2229": r"\cap ",
    "\u2205": r"\emptyset ",
    "\u2026": r"\ldots ",
    "\u22ef": r"\ldots ",
    "\u2032": "'",
    "\u2019": "'",
    "\u2018": "'",
    "\u201c": '"',
    "\u201d": '"',
    "\u00ac": r"\neg ",
    "\u2220": r"\angle ",
    "\u211d": r"\mathbb{R}",
    "\u2124": r"\mathbb{Z}",
    "\u211a": r"\mathbb{Q}",
    "\u2115": r"\mathbb{N}",
    "\u2102": r"\mathbb{C}",
    "\u2211": r"\sum ",
    "\u222b": r"\int ",
    "\u03c0": r"\pi ",
}
_GREEK_NAMES = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho - sigma tau upsilon phi "
    "chi psi omega"
)
_GREEK = _GREEK_NAMES.split()
_SYMBOLS |= {chr(0x3B1 + place): f"\\{name} " for place, name in enumerate(_GREEK) if name != "-"}
_SYMBOLS |= {
    chr(code): f"\\{name} "
    for name, code in {"Delta": 0x394, "Omega": 0x3A9, "Sigma": 0x3A3, "Phi": 0x3A6, "Gamma": 0x393}.items()
}
_TABLE = str.maketrans(_SYMBOLS)

_RAISED = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n", strict=True))
_LOWERED = dict(zip("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n", strict=True))
_RAISED_RUN = re.compile(f"[{''.join(_RAISED)}]+")
_LOWERED_RUN = re.compile(f"[{''.join(_LOWERED)}]+")
_VULGAR = re.compile("[\u00bc-\u00be\u2150-\u215e\u2189]")
_ROOT = re.compile(r"([\u221a\u221b\u221c])\s*(\d+(?:\.\d+)?|[A-Za-z]|(?=[({]))")
_ROOTS = {"\u221a": r"\sqrt", "\u221b": r"\sqrt[3]", "\u221c": r"\sqrt[4]"}

_LOOKS = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|bigl?|bigr|Bigl?|Bigr|quad|qquad|hspace\{[^{}]*\}|phantom\{[^{}]*\})"
    r"(?![A-Za-z])|(?<!\\)\\[!,;:()\[\]]"
)
_SPACE = re.compile(r"(?<!\\)\\ |~|\s+")
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(\d|[a-zA-Z]|\{[^{}]*\})\s*(\d|[a-zA-Z]|\{[^{}]*\})|\\frac\s+(\d+)\s+(\d+)")
_CHOOSE = re.compile(r"\{\s*([^{}]*?)\s*\\choose\s*([^{}]*?)\s*\}")
_NAMES = [
    (re.compile(r"\\(?:leq|leqslant)(?![A-Za-z])"), r"\\le "),
    (re.compile(r"\\(?:geq|geqslant)(?![A-Za-z])"), r"\\ge "),
    (re.compile(r"(?<=\d) ?x ?(?=10 ?\^)"), r"\\times "),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"\\lt(?![A-Za-z])"), "<"),
    (re.compile(r"\\gt(?![A-Za-z])"), ">"),
    (re.compile(r"\\neq(?![A-Za-z])"), r"\\ne "),
    (re.compile(r"\\(?:dots|cdots|dotsc|dotsb)(?![A-Za-z])|\.{3,}"), r"\\ldots "),
    (re.compile(r"\\(?:degree|degrees)(?![A-Za-z])|\^\s*\{\s*\\circ\s*\}|\^\s*\\circ(?![A-Za-z])"), r"^\\circ "),
    (re.compile(r"\\(?:bar|overline)\s*\{\s*(\d+)\s*\}"), r"\\overline{\1}"),
    (re.compile(r"\\lbrace(?![A-Za-z])"), r"\\{"),
    (re.compile(r"\\rbrace(?![A-Za-z])"), r"\\}"),
    (re.compile(r"\\(?:varnothing)(?![A-Za-z])"), r"\\emptyset "),
    (re.compile(r"(?<![A-Za-z\\])infinity(?![A-Za-z])", re.IGNORECASE), r"\\infty "),
    (re.compile(r"(?<![A-Za-z\\])pi(?![A-Za-z])"), r"\\pi "),
    (re.compile(r"(?<![A-Za-z\\])sqrt(?![A-Za-z])"), r"\\sqrt "),
    (re.compile(r"(?<![A-Za-z\\])exp\s*\(([^()]*)\)"), r"e^{\1}"),
    (re.compile(r"\\exp\s*\(([^()]*)\)"), r"e^{\1}"),
    (re.compile(r"\\sqrt\s*\(([^()]*)\)"), r"\\sqrt{\1}"),
    (re.compile(r"\\sqrt\s*(\d)"), r"\\sqrt{\1}"),
    (re.compile(r"(\\log_(?:\w|\{\w+\})) +(\d+)"), r"\1(\2)"),
    (re.compile(r"\\(?:operatorname|mathrm)\s*\{\s*(e|i)\s*\}"), r" \1 "),
]
_ONE_IN_BRACES = re.compile(r"([_^])\{(\w)\}")
# The space after a comma stays, since 1, 000 and 1,000 differ.
_IDLE_SPACE = re.compile(r"(?<![\w},]) |(?<!,) (?![\w\\({])")
_TIGHT_COMMA = re.compile(r",\\!\s*|\{,\}\s*(?=\d)")
_DOLLAR = re.compile(r"(?<!\\)\$")
_POWER = re.compile(r"(?<=[\w)}])\*\*(?=[\w({-])")
_QUOTES = "$*`\"'"


def plain(text: str) -> str:
    """The answer in one form, as the module describes. Equal answers may still differ in wording."""
    if len(_DOLLAR.findall(text)) % 2 == 0:
        text = _DOLLAR.sub("", text)  # They come in pairs, so they enclose formulas. A single one is money.
    text = _VULGAR.sub(lambda found: f" {unicodedata.normalize('NFKC', found[0])} ", text)
    text = _RAISED_RUN.sub(lambda found: f"^{{{''.join(_RAISED[c] for c in found[0])}}}", text)
    text = _LOWERED_RUN.sub(lambda found: f"_{{{''.join(_LOWERED[c] for c in found[0])}}}", text)
    text = _ROOT.sub(lambda found: f"{_ROOTS[found[1]]}" + (f"{{{found[2]}}}" if found[2] else ""), text)
    text = unicodedata.normalize("NFKC", text.translate(_TABLE)).translate(_TABLE)
    text = _LOOKS.sub("", _TIGHT_COMMA.sub(",", text).replace("\\text{:}", ":"))
    text = _SPACE.sub(" ", text)
    text = _FRACTION.sub(r"\\frac", _POWER.sub("^", text))
    for pattern, name in _NAMES:
        text = pattern.sub(name, text)
    text = _CHOOSE.sub(r"\\binom{\1}{\2}", _SHORT_FRACTION.sub(_full_fraction, text))
    return bare(_IDLE_SPACE.sub("", _ONE_IN_BRACES.sub(r"\1\2", " ".join(text.split()))))


def bare(text: str) -> str:
    """The text without what surrounds the whole of it: white space, quotes, dollar signs, stars, a full stop."""
    while True:
        before = text
        text = text.strip().rstrip(".;,:").strip()
        if len(text) > 1 and text[0] == text[-1] and text[0] in _QUOTES:
            text = text[1:-1]
        if text == before:
            return text


def _full_fraction(found: re.Match[str]) -> str:
    top, bottom = (found[1], found[2]) if found[1] else (found[3], found[4])
    return f"\\frac{{{top.strip('{}')}}}{{{bottom.strip('{}')}}}"
