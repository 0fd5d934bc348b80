"""Chooses the problems that a run trains on and those that it is measured on; no problem is in both.

train=arithmetic                       one stream of generated problems, even ones to train on, odd ones held out
train=a.jsonl                          one shuffled file, its back to train on, its front held out
train=a.jsonl, evaluation=b.jsonl      the first problems of each shuffled file; no question may be in both
train=hub:org/name:train               like a file; questions that are repeated or also held out are left out
"""

import hashlib
import logging
from typing import TYPE_CHECKING, NamedTuple

from evaluation.answers.grader import Grader
from evaluation.problems.files import located_problems
from evaluation.problems.generated import TooFewProblemsError, generated_problems
from evaluation.problems.problem import Located, Problem, ProblemFileError, check_references
from evaluation.problems.published import Fields
from evaluation.problems.repeated import OverlapError, refuse_overlap, same_question
from evaluation.problems.selection import select
from evaluation.problems.source import GeneratedSource, ListedSource, source_of
from evaluation.record import Record

# The settings read the names of the sources on import, and so import this package.
if TYPE_CHECKING:
    from evaluation.problems.settings import Problems, Transfer

__all__ = ["OverlapError", "ProblemSets", "TooFewProblemsError", "load_held_out", "load_problems", "load_transfer"]

log = logging.getLogger("maft.problems")


class ProblemSets(Record):
    """The problems of one run; no question is in both lists."""

    train: list[Problem]
    evaluation: list[Problem]


class _Draw(NamedTuple):
    """Which problems of a source to take."""

    seed: int
    """The seed that orders the problems."""
    number: int = 0
    """Number of the portion in that order, from 0."""


def load_problems(config: "Problems", seed: int, draw: int = 0, *, grader: Grader | None = None) -> ProblemSets:
    """The training and the held-out problems of a run.

    The same config, files, seed and draw give the same problems. The choice does not depend on the order of a file.
    The held-out problems do not depend on the number of training problems, nor the other way round, unless one file is
    too small for both.

    Args:
        config: sources and sizes.
        seed: orders the problems of every source.
        draw: number of the portion in that order, from 0. With one seed and the same sizes, every portion has new
            problems until a file is used up; then the file starts again. No held-out problem of one portion is a
            training problem of another.
        grader: checks the reference answers of all problems that are read, also of those that are not drawn; None: they
            are not checked.

    Raises:
        ProblemFileError: a file is faulty or has too few problems, see `read_problems`, or a reference answer does not
            fit the grader.
        OverlapError: training and evaluation share a question.
        TooFewProblemsError: max_value is too small for so many generated problems.
    """
    place = _Draw(seed, draw)
    if config.evaluation is None or _same_problems(config.train, config.evaluation):
        source = source_of(config.train)
        if isinstance(source, GeneratedSource):
            return _alternate(config, config.train, source, place, grader)
        return _split(config, _checked(_read(config, config.train)[config.train], grader), place)
    named = {"train_size": config.train, "evaluation_size": config.evaluation}
    read = _read(config, *named.values())
    train, evaluation = (
        _checked(
            _generate(config, name, source, size, place)
            if isinstance(source := source_of(name), GeneratedSource)
            else read[name],
            grader,
        )
        for size, name in named.items()
    )
    # Whole files are compared, so that the seed does not decide whether a config is refused.
    if _beyond_mending(config.train):
        # The user cannot edit it, so questions that are also held out are not trained on.
        train = _without(train, evaluation, config.train, "train", "are held out too, and are not trained on")
    refuse_overlap(train, evaluation)
    return ProblemSets(
        train=_take(train, config.train, "train_size", config, place),
        evaluation=_take(evaluation, config.evaluation, "evaluation_size", config, place),
    )


def load_held_out(config: "Problems", seed: int, *, grader: Grader | None = None) -> list[Problem]:
    """The problems of `config.evaluation` alone, for a society that is only measured.

    Raises:
        ProblemFileError: as for `load_problems`.
        TooFewProblemsError: max_value is too small for so many generated problems.
    """
    name = config.evaluation or config.train
    source = source_of(name)
    if isinstance(source, GeneratedSource):
        return _alternate(config, name, source, _Draw(seed), grader).evaluation
    return _take(_checked(_read(config, name)[name], grader), name, "evaluation_size", config, _Draw(seed))


def load_transfer(
    config: "Transfer", problems: "Problems", seed: int, *, grader: Grader | None = None
) -> list[Problem]:
    """Held-out problems of another kind than the training problems of `problems`, and not among them.

    If a generated source is also the training source, each problem has a value above the training problems' largest.

    Raises:
        ProblemFileError: as for `load_problems`.
        OverlapError: a file has a question that is trained on, or a data set has no other questions. Otherwise a data
            set's shared questions are left out.
        TooFewProblemsError: there are too few generated problems with such values.
    """
    source = source_of(config.source)
    if isinstance(source, GeneratedSource):
        above = problems.max_value if problems.train == config.source else 0
        stream = generated_problems(source, config.size, seed=seed, max_value=config.max_value, above=above)
        elsewhere = _located(stream, config.source)
    else:
        elsewhere = _read(config, config.source)[config.source]
    if isinstance(source_of(problems.train), ListedSource):
        trained = _read(problems, problems.train)[problems.train]
        if _beyond_mending(config.source) or _beyond_mending(problems.train):
            elsewhere = _without(
                elsewhere, trained, config.source, "transfer.source", "are trained on, and are left out"
            )
        refuse_overlap(trained, elsewhere)
    return _take(_checked(elsewhere, grader), config.source, "size", config, _Draw(seed))


def _same_problems(a: str, b: str) -> bool:
    if a == b:
        return True
    source = source_of(a)
    return isinstance(source, ListedSource) and source is source_of(b) and source.identity(a) == source.identity(b)


def _beyond_mending(name: str) -> bool:
    source = source_of(name)
    return isinstance(source, ListedSource) and not source.mendable


def _read(config: "Problems | Transfer", *names: str) -> dict[str, list[Located]]:
    """The problems of the listed sources among `names`, with the config's levels and subjects."""
    listed = {name: source for name in names if isinstance(source := source_of(name), ListedSource)}
    rows = {name: [*source.rows(name)] for name, source in listed.items()}
    chosen = select(rows, config.levels, config.subjects)
    fields = Fields(config.question_field, config.answer_field, config.choices_field)
    return {
        name: located_problems(name, chosen[name], fields, config.duplicates if source.mendable else "keep_first")
        for name, source in listed.items()
    }


def _checked(located: list[Located], grader: Grader | None) -> list[Located]:
    if grader is not None:
        check_references(located, grader)
    return located


def _without(located: list[Located], others: list[Located], source: str, field: str, why: str) -> list[Located]:
    """The problems of `source` whose question is not among the others."""
    known = {same_question(other.problem.question) for other in others}
    kept = [each for each in located if same_question(each.problem.question) not in known]
    if len(kept) < len(located):
        log.warning("%s: %d problems %s", source, len(located) - len(kept), why)
    if not kept:
        raise OverlapError(f"{source}: all of its problems {why.partition(',')[0]}; name another source in {field}")
    return kept


def _shuffled(located: list[Located], seed: int) -> list[Problem]:
    """The problems, ordered by a digest of seed and id, so that a problem added to a file moves no other."""

    def rank(problem: Problem) -> str:
        return hashlib.sha256(f"problems:{seed}:{problem.id}".encode()).hexdigest()

    return sorted((problem for problem, _ in located), key=rank)


def _take(
    located: list[Located], source: str, size_field: str, config: "Problems | Transfer", draw: _Draw
) -> list[Problem]:
    size: int = getattr(config, size_field)
    if len(located) < size and size_field in config.model_fields_set:
        raise ProblemFileError(
            f"{source}: has {len(located)} problems, but {size_field} asks for {size}; "
            f"set {size_field} to at most {len(located)}, or leave it unset to take all"
        )
    return _portion(_shuffled(located, draw.seed), size, draw.number)


def _portion(problems: list[Problem], size: int, draw: int) -> list[Problem]:
    """Portion `draw` of `size` problems each; after the last problem it continues with the first."""
    first = draw * size
    return [problems[place % len(problems)] for place in range(first, first + min(size, len(problems)))]


def _split(config: "Problems", located: list[Located], draw: _Draw) -> ProblemSets:
    """Held-out problems from the front of the shuffled file, training problems from its back."""
    total = len(located)
    train, evaluation = config.train_size, config.evaluation_size
    if total < train + evaluation:
        unset = {"train_size", "evaluation_size"} - config.model_fields_set
        if len(unset) == 2:
            train, evaluation = total - total // 2, total // 2
        elif "train_size" in unset:
            train = total - evaluation
        elif "evaluation_size" in unset:
            evaluation = total - train
        if not unset or min(train, evaluation) < 1:
            raise ProblemFileError(
                f"{config.train}: has {total} problems for training and evaluation together, too few for "
                f"train_size={config.train_size} and evaluation_size={config.evaluation_size}; set smaller sizes, "
                "or name another file in evaluation"
            )
    problems = _shuffled(located, draw.seed)
    border = total * evaluation // (train + evaluation)
    return ProblemSets(
        train=_portion(problems[border:][::-1], train, draw.number),
        evaluation=_portion(problems[:border], evaluation, draw.number),
    )


def _alternate(
    config: "Problems", name: str, source: GeneratedSource, draw: _Draw, grader: Grader | None
) -> ProblemSets:
    """Even problems of the stream to train on, odd ones held out, so that neither set depends on the other's size."""
    select({name: []}, config.levels, config.subjects)  # raises if they are set: generated problems have neither
    wanted = 2 * max(config.train_size, config.evaluation_size)
    end = wanted * (draw.number + 1)
    stream = generated_problems(source, end, seed=draw.seed, max_value=config.max_value)[-wanted:]
    _checked(_located(stream, name), grader)
    return ProblemSets(
        train=stream[0::2][: config.train_size],
        evaluation=stream[1::2][: config.evaluation_size],
    )


def _generate(config: "Problems", name: str, source: GeneratedSource, size_field: str, draw: _Draw) -> list[Located]:
    """One portion of generated problems, which `_take` then takes whole."""
    size: int = getattr(config, size_field)
    end = size * (draw.number + 1)
    return _located(generated_problems(source, end, seed=draw.seed, max_value=config.max_value)[-size:], name)


def _located(generated: list[Problem], name: str) -> list[Located]:
    return [Located(problem, f"generated {name}:{number}") for number, problem in enumerate(generated, start=1)]
