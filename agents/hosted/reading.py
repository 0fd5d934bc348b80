"""Asks a service for the likelihoods of texts, and for none of them twice."""

import hashlib
import json
from collections.abc import Callable, Sequence

from agents.engines.protocol import OnProgress
from agents.engines.settings import EngineSettings
from agents.hosted.asking import settings_text
from agents.hosted.journal import Journal
from agents.hosted.spending import Tokens, check_budget

Read = tuple[list[int], list[int]]
"""Token ids of a text to read: its prompt, and the target whose likelihood is wanted."""

AT_ONCE = 256
"""Texts that are asked for before their likelihoods are written down."""


def read_once(  # noqa: PLR0913, what is read, and where it is kept
    read: Callable[[Sequence[Read]], Sequence[float]],
    texts: Sequence[Read],
    *,
    reader: str,
    settings: EngineSettings,
    journal: Journal | None,
    on_progress: OnProgress,
) -> list[float]:
    """-ln of the likelihood of each text's target, given its prompt, in nats; those known from an earlier try are kept.

    Args:
        read: asks the service.
        texts: what is read; a text without a target has zero, and is not asked for.
        reader: the name of the weights that read.
        settings: the engine.
        journal: where it is noted; None: nowhere.
        on_progress: called with (texts done, texts in all).

    Raises:
        BudgetError: the texts would pass `engine.budget`; nothing was asked.
        EngineError: the service cannot be reached, or refuses.
    """
    told = settings_text(settings)
    keys = [hashlib.sha256(json.dumps([told, reader, *text]).encode()).hexdigest() for text in texts]
    known = journal.read() if journal else {}
    known |= {key: 0.0 for key, (_, target) in zip(keys, texts, strict=True) if not target}
    missing = list({key: place for place, key in enumerate(keys) if key not in known}.values())
    if journal and missing:
        wanted = Tokens(read=sum(_tokens(texts[place]) for place in missing))
        check_budget(settings, spent=journal.spent(), wanted=wanted, what=f"the reading of {len(missing):,} texts")
    for start in range(0, len(missing), AT_ONCE):
        some = missing[start : start + AT_ONCE]
        for place, nll in zip(some, read([texts[place] for place in some]), strict=True):
            known[keys[place]] = float(nll)
            if journal:
                journal.note_read(keys[place], float(nll), _tokens(texts[place]))
        on_progress(len(texts) - len(missing) + start + len(some), len(texts))
    return [known[key] for key in keys]


def _tokens(text: Read) -> int:
    return sum(map(len, text))
