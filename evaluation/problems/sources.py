"""Which problems a run trains on and which it is measured on, and that the two never meet.

train=arithmetic                       the even and the odd ones of one stream of generated problems
train=a.jsonl                          the two ends of one shuffled file
train=a.jsonl, evaluation=b.jsonl      the first ones of each shuffled file; no question may be in both
train=hub:org/name:train               as a file; what is asked twice there, or is held out too, is left out
"""

import hashlib
import logging
from itertools import islice, product
from pathlib import Path

from evaluation.problems.arithmetic import arithmetic_problems, question, reserved
from evaluation.problems.files import Located, located_problems, overlap, same_question
from evaluation.problems.hub import hub_rows, is_hub
from evaluation.problems.problem import Problem, ProblemFileError
from evaluation.problems.rows import file_rows
from evaluation.problems.selection import select
from evaluation.problems.settings import ARITHMETIC, SIZES, Problems, Transfer
from evaluation.record import Record

SHOWN_OVERLAPS = 10
_COUNTED_MAX_VALUE = 6
log = logging.getLogger("maft.problems")


class OverlapError(ValueError):
    """Training and evaluation share questions; the message lists them with file and line."""


class TooFewProblemsError(ValueError):
    """So small a max_value does not allow so many arithmetic problems."""


class ProblemSets(Record):
    """The problems of one run; no question is in both lists."""

    train: list[Problem]
    evaluation: list[Problem]


def load_problems(config: Problems, seed: int, draw: int = 0) -> ProblemSets:
    """The training and the held-out problems of a run.

    The same config, files, seed and draw give the same problems. Which they are does not depend on the order of a
    file, and the held-out ones do not depend on how many are trained on, nor the other way round (but where one file
    is too small for both).

    Args:
        config: sources and sizes.
        seed: orders the problems of every source.
        draw: which portion of that order, from 0. Of one seed and the same sizes, another portion has other problems
            until a file is used up, then it begins anew; no held-out problem of any is a training problem of any.

    Raises:
        ProblemFileError: a file is faulty or has too few problems; see `read_problems`.
        OverlapError: training and evaluation share a question.
        TooFewProblemsError: there are not as many arithmetic problems of so small a max_value.
    """
    if config.evaluation is None or _same_source(config.train, config.evaluation):
        if config.train == ARITHMETIC:
            _read(config)
            return _arithmetic_sets(config, seed, draw)
        return _split(config, _read(config, config.train)[config.train], seed, draw)
    read = _read(config, *(source for source in (config.train, config.evaluation) if source != ARITHMETIC))
    train, evaluation = (
        _generated(config, name, seed, draw) if source == ARITHMETIC else read[source]
        for name, source in (("train_size", config.train), ("evaluation_size", config.evaluation))
    )
    # Whole files, so that whether a config is refused does not hang on the seed.
    if is_hub(config.train):
        # A data set is not the user's to mend, so what it shares with the held-out problems is not trained on.
        train = _without(train, evaluation, config.train, "train", "are held out too, and are not trained on")
    _refuse_overlap(train, evaluation)
    return ProblemSets(
        train=_take(train, config.train, "train_size", config, seed, draw),
        evaluation=_take(evaluation, config.evaluation, "evaluation_size", config, seed, draw),
    )


def load_held_out(config: Problems, seed: int) -> list[Problem]:
    """The problems of `config.evaluation` alone, for a society that is only measured.

    Raises:
        ProblemFileError: the file is faulty or has too few problems; see `read_problems`.
        TooFewProblemsError: there are not as many arithmetic problems of so small a max_value.
    """
    source = config.evaluation or config.train
    if source == ARITHMETIC:
        _read(config)
        return _arithmetic_sets(config, seed, 0).evaluation
    return _take(_read(config, source)[source], source, "evaluation_size", config, seed, 0)


def load_transfer(config: Transfer, problems: Problems, seed: int) -> list[Problem]:
    """Held-out problems of another kind than the training problems of `problems`, none of which is among them.

    Of generated arithmetic after generated arithmetic at least one value is above the training problems' largest.

    Raises:
        ProblemFileError: a file is faulty or has too few problems; see `read_problems`.
        OverlapError: a file has a question that is trained on; of data sets they are left out, unless that is all.
        TooFewProblemsError: there are not as many arithmetic problems of such values.
    """
    if config.source == ARITHMETIC:
        above = problems.max_value if problems.train == ARITHMETIC else 0
        elsewhere = _located(_stream(config.max_value, config.size, seed, above))
    else:
        elsewhere = _read(config, config.source)[config.source]
    if problems.train != ARITHMETIC:
        trained = _read(problems, problems.train)[problems.train]
        if is_hub(config.source) or is_hub(problems.train):
            elsewhere = _without(
                elsewhere, trained, config.source, "transfer.source", "are trained on, and are left out"
            )
        _refuse_overlap(trained, elsewhere)
    return _take(elsewhere, config.source, "size", config, seed, 0)


def _same_source(a: str, b: str) -> bool:
    if a == b or ARITHMETIC in (a, b) or is_hub(a) or is_hub(b):
        return a == b
    return Path(a).resolve() == Path(b).resolve()


def _read(config: Problems | Transfer, *sources: str) -> dict[str, list[Located]]:
    """The problems of each source, of the levels and subjects that the config chooses."""
    rows = {source: hub_rows(source) if is_hub(source) else [*file_rows(source)] for source in sources}
    return {
        source: located_problems(source, chosen, config.question_field, config.answer_field, repeats=is_hub(source))
        for source, chosen in select(rows, config.levels, config.subjects).items()
    }


def _without(located: list[Located], others: list[Located], source: str, field: str, why: str) -> list[Located]:
    """Those of `source` whose question is none of the others'."""
    known = {same_question(other.problem.question) for other in others}
    kept = [each for each in located if same_question(each.problem.question) not in known]
    if len(kept) < len(located):
        log.warning("%s: %d problems %s", source, len(located) - len(kept), why)
    if not kept:
        raise OverlapError(f"{source}: all of its problems {why.partition(',')[0]}; name another source in {field}")
    return kept


def _shuffled(located: list[Located], seed: int) -> list[Problem]:
    """Ordered by a digest of seed and id, so that a problem added to a file moves no other."""

    def rank(problem: Problem) -> str:
        return hashlib.sha256(f"problems:{seed}:{problem.id}".encode()).hexdigest()

    return sorted((problem for problem, _ in located), key=rank)


def _take(
    located: list[Located], path: str, name: str, config: Problems | Transfer, seed: int, draw: int
) -> list[Problem]:
    size: int = getattr(config, name)
    if len(located) < size and name in config.model_fields_set:
        raise ProblemFileError(
            f"{path}: has {len(located)} problems, but {name} asks for {size}; "
            f"set {name} to at most {len(located)}, or leave it unset to take all"
        )
    return _portion(_shuffled(located, seed), size, draw)


def _portion(problems: list[Problem], size: int, draw: int) -> list[Problem]:
    """The draw-th run of `size` problems, from the start again where they end."""
    first = draw * size
    return [problems[place % len(problems)] for place in range(first, first + min(size, len(problems)))]


def _split(config: Problems, located: list[Located], seed: int, draw: int) -> ProblemSets:
    """Held-out problems from the front of the shuffled file, training problems from its back."""
    total = len(located)
    train, evaluation = config.train_size, config.evaluation_size
    if total < train + evaluation:
        unset = [name for name in SIZES if name not in config.model_fields_set]
        if unset == list(SIZES):
            train, evaluation = total - total // 2, total // 2
        elif unset == ["train_size"]:
            train = total - evaluation
        elif unset == ["evaluation_size"]:
            evaluation = total - train
        if not unset or min(train, evaluation) < 1:
            raise ProblemFileError(
                f"{config.train}: has {total} problems for training and evaluation together, too few for "
                f"train_size={config.train_size} and evaluation_size={config.evaluation_size}; set smaller sizes, "
                "or name another file in evaluation"
            )
    problems = _shuffled(located, seed)
    border = total * evaluation // (train + evaluation)
    return ProblemSets(
        train=_portion(problems[border:][::-1], train, draw), evaluation=_portion(problems[:border], evaluation, draw)
    )


def _arithmetic_sets(config: Problems, seed: int, draw: int) -> ProblemSets:
    """Every other problem of the stream for each, so that the size of one set leaves the other as it is."""
    wanted = 2 * max(config.train_size, config.evaluation_size)
    stream = _stream(config.max_value, wanted * (draw + 1), seed)[-wanted:]
    return ProblemSets(
        train=stream[0::2][: config.train_size],
        evaluation=stream[1::2][: config.evaluation_size],
    )


def _generated(config: Problems, name: str, seed: int, draw: int) -> list[Located]:
    """The portion alone, which `_take` then takes whole."""
    size: int = getattr(config, name)
    return _located(_stream(config.max_value, size * (draw + 1), seed)[-size:])


def _located(generated: list[Problem]) -> list[Located]:
    return [Located(problem, f"generated arithmetic:{number}") for number, problem in enumerate(generated, start=1)]


def _stream(max_value: int, wanted: int, seed: int, above: int = 0) -> list[Problem]:
    """The first `wanted` generated problems. The stream by itself would search for ever for more than there are."""
    available = _arithmetic_available(max_value) - _arithmetic_available(above)
    if wanted > available:
        raise TooFewProblemsError(
            f"transfer.max_value={max_value} allows about {max(0, available)} problems with a value above {above}, but "
            f"transfer.size needs {wanted}; raise transfer.max_value or set a smaller transfer.size"
            if above
            else f"problems.max_value={max_value} allows about {available} problems, but the sizes need {wanted}; "
            "raise max_value or set smaller train_size and evaluation_size"
        )
    return list(islice(arithmetic_problems(seed, max_value, above), wanted))


def _arithmetic_available(max_value: int) -> int:
    """How many reserved questions there are; for larger values a low estimate, as one in sixteen is reserved."""
    if max_value > _COUNTED_MAX_VALUE:
        return max_value**6 // 32
    values = range(1, max_value + 1)
    return sum(reserved(question(six)) for six in product(values, values, values, values, values, values))


def _refuse_overlap(train: list[Located], evaluation: list[Located]) -> None:
    shared = overlap(train, evaluation)
    if not shared:
        return
    listed = "\n".join(
        f"  {ours.where} and {theirs.where}: {theirs.problem.question[:80]!r}"
        for ours, theirs in shared[:SHOWN_OVERLAPS]
    )
    more = f"\n  and {len(shared) - SHOWN_OVERLAPS} more" if len(shared) > SHOWN_OVERLAPS else ""
    raise OverlapError(
        f"{len(shared)} questions are both in training and in evaluation; take them out of one of the two:\n"
        f"{listed}{more}"
    )
