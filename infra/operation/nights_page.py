"""The page of a society's last nights: an artifact in Prefect, markdown."""

from collections.abc import Sequence

from evaluation.reporting.markdown import escaped, markdown_table
from evaluation.reporting.tables import share
from infra.operation.nights import Made, Night

_MESSAGE_CHARS = 120
_NOTABLE = ("better", "worse", "failed", "killed")


def nights_page(society: str, nights: Sequence[Night], *, champion: str, prefect_ui: str, mlflow_ui: str) -> str:
    """A table with a row per night, with links to its flow run and to its generation.

    Args:
        society: its name.
        nights: the newest first.
        champion: the champion in words.
        prefect_ui, mlflow_ui: addresses of the two web pages.
    """
    runs = f"{prefect_ui}/runs/flow-run"
    columns = ["night (UTC)", "outcome", "why", "gen.", "accuracy", "champion", "seconds", "home, MB"]
    rows = [
        [
            _link(f"{night.at:%Y-%m-%d %H:%M}", f"{runs}/{night.flow_run_id}" if night.flow_run_id else None),
            f"**{night.outcome}**" if night.outcome in _NOTABLE else night.outcome,
            escaped(_short(night.why)),
            *_made(night.made, f"{mlflow_ui}/#/models/{society}/versions"),
            "-" if night.seconds is None else f"{night.seconds:,.0f}",
            "-" if night.made is None or night.made.bytes is None else f"{night.made.bytes / 1e6:,.0f}",
        ]
        for night in nights
    ]
    table = markdown_table(columns, rows, names=3)
    return (
        f"**{escaped(society)}**: the last {len(nights)} nights, the newest first. Accuracy of the new "
        f"generation and of the champion on the same held-out problems, %. The champion is now {escaped(champion)}."
        f"\n\n{table}"
    )


def _made(made: Made | None, versions: str) -> list[str]:
    if made is None:
        return ["-"] * 3
    return [
        _link(str(made.generation), f"{versions}/{made.version}"),
        share(made.accuracy),
        share(made.champion_accuracy),
    ]


def _link(text: str, address: str | None) -> str:
    return f"[{text}]({address})" if address else text


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARS else f"{text[: _MESSAGE_CHARS - 4]} ..."
