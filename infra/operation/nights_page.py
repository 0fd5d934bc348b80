"""The page of a society's last nights: an artifact in Prefect, markdown."""

import re
from collections.abc import Sequence
from datetime import datetime

from evaluation.reporting.markdown import markdown_table
from evaluation.reporting.tables import share
from infra.operation.nights import Made, Night

_MESSAGE_CHARS = 200
_NOTABLE = ("better", "worse", "failed", "killed")
_MARKUP = re.compile(r"://|[^\w\s.,;:'%=+/()·-]")


def nights_page(society: str, nights: Sequence[Night], *, champion: str, prefect_ui: str, mlflow_ui: str) -> str:
    """A table with a row per night, with links to its flow run and to its generation, and a list of what went wrong.

    The columns are few and short, since neither of Prefect's interfaces has room for more.

    Args:
        society: its name.
        nights: the newest first.
        champion: the champion in words.
        prefect_ui, mlflow_ui: addresses of the two web pages.
    """
    runs = f"{prefect_ui}/runs/flow-run"
    columns = ["night", "outcome", "gen.", "accuracy", "champion", "seconds", "MB"]
    rows = [
        [
            _link(_date(night.at), f"{runs}/{night.flow_run_id}" if night.flow_run_id else None),
            f"**{night.outcome}**" if night.outcome in _NOTABLE else night.outcome.replace(" ", "\xa0"),
            *_made(night.made, f"{mlflow_ui}/#/models/{society}/versions"),
            "-" if night.seconds is None else f"{night.seconds:,.0f}",
            "-" if night.made is None or night.made.bytes is None else f"{night.made.bytes / 1e6:,.0f}",
        ]
        for night in nights
    ]
    told = [f"- {_date(night.at)}, {night.outcome}: {_plain(night.why)}" for night in nights if night.why]
    reasons = "\n".join(["", "Notes:", "", *told]) if told else ""
    return (
        f"**{society}**: the last {len(nights)} nights (UTC), the newest first. The champion is now {champion}.\n\n"
        f"{markdown_table(columns, rows, names=2)}\n{reasons}\n\n"
        "*accuracy* and *champion*: the new generation and the champion of that night on the same held-out problems, "
        "%. *MB*: size of the home folder after the night."
    )


def _made(made: Made | None, versions: str) -> list[str]:
    if made is None:
        return ["-"] * 3
    return [
        _link(str(made.generation), f"{versions}/{made.version}"),
        share(made.accuracy),
        share(made.champion_accuracy),
    ]


def _date(at: datetime) -> str:
    """Such as 29 Nov 02:00, which is never broken into two lines."""
    return f"{at:%d %b %H:%M}".replace(" ", "\xa0")


def _link(text: str, address: str | None) -> str:
    return f"[{text}]({address})" if address else text


def _plain(text: str) -> str:
    """A text from elsewhere on one line, shortened, without characters that could be markup or make a link.

    Escapes would not do: one of Prefect's interfaces shows them as they are.
    """
    plain = " ".join(_MARKUP.sub(" ", text).split())
    return plain if len(plain) <= _MESSAGE_CHARS else f"{plain[: _MESSAGE_CHARS - 4]} ..."
