r"""The values of formulas, computed by the worker process of `evaluation.answers.symbolic`; run as a script.

Two formulas are equal if they have equal values, so equality is transitive. A value is a kind and texts:

    ("formula", "2^{100}")               ->  ["number", "1000.../1"]       an exact fraction, in hexadecimal
    ("formula", "\\sqrt{8}")             ->  ["real", "2.8284..."]         DIGITS digits
    ("formula", "2x + x")                ->  ["curve", ...]                the values at three points
    ("formula", "2x / 2")                ->  ["letter", "x"]
    ("=", "(2x)-(6)")                    ->  ["=", ...]                    values of the difference, up to a factor
    ("decimal", "1af957/1312d0", "7")  ->  as \sqrt{2}                   the number that a long decimal stands for

Two formulas with variables that are equal at all points are the same function, but for an accident with a probability
below 10^-30: the points are arbitrary (identity testing after Schwartz, https://doi.org/10.1145/322217.322225).
"""

import hashlib
import json
import logging
import math
import os
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from multiprocessing.connection import Connection
from typing import Any

CPU_SECONDS = 1.5
MEMORY_BYTES = 2 << 30
DIGITS = 36
_WORKING_DIGITS = 60
MAX_DENOMINATOR = 10**6
"""A constant this close to a fraction with such a denominator is that fraction, as (\\sqrt2 + 1)(\\sqrt2 - 1) is 1."""
POINTS = 3
MIN_DIGITS = 6
MAX_RECOGNIZED = 10**6
"""Long decimals with fewer digits, or above this, stand for themselves."""

_DECIMAL = re.compile(r"(\^?)(\d*)\.(\d+)")
_DEGREES = re.compile(r"(\d+(?:\.\d+)?)\^\\circ ?")


def value(kind: str, text: str, places: str = "0") -> list[str]:
    """The value of a formula, of the difference of an equation's sides, or of a long decimal."""
    import mpmath

    with mpmath.workdps(_WORKING_DIGITS):
        if kind == "decimal":
            return _stood_for(_read(text), int(places))
        expression = _parsed(text)
        at_points = _at_points(expression) if expression is not None else None
        if at_points is None:
            return ["text", text]
        return _of_formula(expression, at_points) if kind == "formula" else _of_difference(kind, at_points)


def _parsed(text: str) -> Any:
    """The sympy expression; None if math-verify cannot read the text, or reads something other than a formula."""
    import sympy
    from latex2sympy2_extended import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    text = _DEGREES.sub(r"(\\frac{\1\\pi}{180})", text)
    text = _DECIMAL.sub(_as_fraction, text)
    # Units are off, since they would take the t of 1 + 3t for tonnes.
    reading = LatexExtractionConfig(normalization_config=NormalizationConfig(units=False, malformed_operators=True))
    # Only whole formulas: the fallbacks of `parse` pick the last number out of any text that it cannot read.
    found = parse(f"\\boxed{{{text}}}", [reading], fallback_mode="no_fallback", parsing_timeout=None)
    if not found or not isinstance(found[0], sympy.Expr):
        return None
    known = {"i": sympy.I, "e": sympy.E}
    named = {symbol: known[symbol.name] for symbol in found[0].free_symbols if symbol.name in known}
    return found[0].subs(named).doit()


def _as_fraction(decimal: re.Match[str]) -> str:
    # A float of sympy has 15 digits only.
    exact = rf"(\frac{{{int(decimal[2] + decimal[3])}}}{{{10 ** len(decimal[3])}}})"
    return f"^{{{exact}}}" if decimal[1] else exact


def _at_points(expression: Any) -> list[Any] | None:
    """The expression's exact value if it is a fraction, else its values at the points, as pairs of mpmath numbers."""
    if expression.is_Rational:
        return [expression]
    symbols = sorted(expression.free_symbols, key=lambda symbol: symbol.name)
    found = []
    for point in range(POINTS if symbols else 1):
        at = {symbol: _coordinate(symbol.name, point) for symbol in symbols}
        number = expression.evalf(_WORKING_DIGITS, subs=at, maxn=400)
        parts = number.as_real_imag()
        if not all(part.is_Float or part.is_Rational for part in parts):
            return None
        found.append(tuple(_exact_or_zero(part) for part in parts))
    return found


def _coordinate(name: str, point: int) -> Any:
    """An arbitrary fraction for a variable, positive at point 0; one of x and y is negative at point 1, one at 2."""
    import sympy

    digest = hashlib.sha256(f"{name}:{point}".encode()).digest()
    size = sympy.Rational(int.from_bytes(digest[:16], "big") | 1, 2**127) + sympy.Rational(1, 7)
    odd = ord(name[0]) % 2
    return -size if point and odd == point - 1 else size


def _exact_or_zero(part: Any) -> Any:
    # evalf returns a number of one bit if it cannot tell the value from zero.
    import mpmath
    import sympy

    if part.is_Rational:
        return mpmath.mpf(int(part.p)) / int(part.q)
    return mpmath.mpf(0) if part._prec < 8 else part._to_mpmath(sympy.Float(1, _WORKING_DIGITS)._prec)


def _of_formula(expression: Any, at_points: list[Any]) -> list[str]:
    if expression.is_Rational:
        return ["number", _written(Fraction(int(expression.p), int(expression.q)))]
    texts = [_complex(*each) for each in at_points]
    if len(set(texts)) == 1:
        return _constant(*at_points[0])
    for symbol in expression.free_symbols:
        if len(symbol.name) == 1 and texts == [
            _complex(*_pair(_coordinate(symbol.name, point))) for point in range(POINTS)
        ]:
            return ["letter", symbol.name.lower()]
    return ["curve", *texts]


def _pair(number: Any) -> tuple[Any, Any]:
    import mpmath

    return _exact_or_zero(number), mpmath.mpf(0)


def _of_difference(kind: str, at_points: list[Any]) -> list[str]:
    """The values of a difference of two sides, divided by their size at the first point.

    An equation keeps its meaning when it is multiplied by any factor, an inequality by any positive one.
    """
    import mpmath

    if len(at_points) < POINTS:
        return [kind, "constant", *(["yes"] if not at_points[0] else [])]
    numbers = [mpmath.mpc(*each) for each in at_points]
    if not numbers[0]:
        return [kind, "zero at the first point", *(_complex(each.real, each.imag) for each in numbers)]
    factor = numbers[0] if kind in ("=", "!=") else abs(numbers[0])
    shares = [each / factor for each in numbers]
    return [kind, *(_complex(each.real, each.imag) for each in shares)]


def _constant(real: Any, imaginary: Any) -> list[str]:
    if not real and imaginary == 1:
        return ["letter", "i"]
    if imaginary:
        return ["complex", _rounded(real), _rounded(imaginary)]
    import mpmath

    if _rounded(real) == _rounded(mpmath.e):
        return ["letter", "e"]  # As an answer, e alone may also be a choice.
    exact = Fraction(mpmath.nstr(real, _WORKING_DIGITS - 8))
    near = exact.limit_denominator(MAX_DENOMINATOR)
    if abs(exact - near) * 10**DIGITS <= abs(exact):
        return ["number", _written(near)]
    return ["real", _rounded(real)]


def _complex(real: Any, imaginary: Any) -> str:
    return f"{_rounded(real)} {_rounded(imaginary)}" if imaginary else _rounded(real)


def _rounded(number: Any) -> str:
    import mpmath

    return str(mpmath.nstr(number, DIGITS, min_fixed=0, max_fixed=0))


def _written(exact: Fraction) -> str:
    return f"{exact.numerator:x}/{exact.denominator:x}"


def _read(written: str) -> Fraction:
    numerator, _, denominator = written.partition("/")
    return Fraction(int(numerator, 16), int(denominator, 16))


def _stood_for(decimal: Fraction, places: int) -> list[str]:
    r"""The simplest of these of which a decimal is the rounded or cut form; else the decimal's own value.

    With a simple fraction r: \sqrt r, r \pi, r / \pi, e^r, \ln r, or a root of a quadratic equation with coefficients
    up to 5, and from 8 digits on up to 20. The decimal has d significant digits, at least MIN_DIGITS of them after the
    point; numerator times denominator of r are at most 10^(d/2), so that few decimals have such a form by accident.
    """
    import mpmath

    written = abs(decimal) * 10**places
    digits = min(places, len(str(written)))
    for candidate in _candidates(mpmath.mpf(decimal.numerator) / decimal.denominator, digits):
        scaled = abs(candidate) * 10**places
        if mpmath.floor(scaled) == written or mpmath.nint(scaled) == written:
            return _constant(candidate, mpmath.mpf(0))
    return ["number", _written(decimal)]


def _candidates(number: Any, digits: int) -> Iterator[Any]:
    import mpmath

    if digits < MIN_DIGITS or abs(number) > MAX_RECOGNIZED:
        return
    forms: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda x: x * x, lambda r: mpmath.sign(number) * mpmath.sqrt(r)),
        (lambda x: x / mpmath.pi, lambda r: r * mpmath.pi),
        (lambda x: x * mpmath.pi, lambda r: r / mpmath.pi),
        (mpmath.exp, mpmath.log),
    ]
    if number > 0:
        forms.append((mpmath.log, mpmath.exp))
    for into, back in forms:
        r = Fraction(mpmath.nstr(into(number), _WORKING_DIGITS)).limit_denominator(1_000)
        if r and abs(r.numerator) * r.denominator <= math.isqrt(10**digits):
            yield back(mpmath.mpf(r.numerator) / r.denominator)
    found = mpmath.findpoly(number, 2, maxcoeff=5 if digits < 8 else 20, tol=mpmath.mpf(10) ** (2 - digits))
    if found and len(found) == 3:
        roots = mpmath.polyroots([mpmath.mpf(int(each)) for each in found], extraprec=200)
        yield min((mpmath.re(root) for root in roots), key=lambda root: abs(root - number))


def _serve(pipe: Connection) -> None:
    """Answer questions until the caller closes the pipe."""
    logging.disable(logging.CRITICAL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The caller handles Ctrl-C and closes the pipe.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    value("formula", "\\frac{1}{2} + \\sqrt{x}")  # Loads the grammar before the first question is timed.
    sys.set_int_max_str_digits(0)
    # Drop what the parser prints about each text that it cannot read.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send_bytes(b"ready")
    while True:
        try:
            asked = json.loads(pipe.recv_bytes())
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        found = [_value_or_text(*each) for each in asked]
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send_bytes(json.dumps(found).encode())


def _value_or_text(*asked: str) -> list[str]:
    try:
        return value(*asked)
    except Exception:  # sympy raises errors of any class about what it cannot read or compute.
        return ["text", *asked]


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
