"""Commands that operate a home: up, down, status, prune."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from infra.cli.shared import OPERATION, HomeOption, JsonOption, app, faults, out, say, serve, use_servers
from infra.home.home import DEFAULT, Home

if TYPE_CHECKING:
    from infra.operation.nightly import DueNight

KINDS = {
    "result": "records of finished tasks",
    "frame": "responses, votes, data sets",
    "folder": "adapters",
    "leftover": "left by killed runs",
}
"""Titles of the kinds of garbage that `infra.operation.prune` finds."""


@app.command(rich_help_panel=OPERATION)
def up(home: HomeOption = Path(DEFAULT)) -> None:
    """Start the servers and the worker, and register the deployments, unless this is done already."""
    with faults():
        from infra.home.store import named_bucket
        from infra.operation.nightly import due_nights
        from infra.operation.servers import status as status_of
        from infra.operation.up import operate

        place = Home.open(home)
        servers = operate(place, say)
        out.print(f"Prefect  {servers.prefect_ui_url}\nMLflow   {servers.mlflow_tracking_uri}", soft_wrap=True)
        for server in status_of(place):
            for where in server.stores:
                out.print(f"         {server.name} stores in {where}", soft_wrap=True, highlight=False)
        if bucket := named_bucket():
            out.print(f"Store    {bucket.url}", soft_wrap=True)
        if nights := _next_nights(due_nights(servers.prefect_api_url)):
            out.print(f"Nightly  {nights}; to pause or move it: {servers.prefect_ui_url}/deployments", soft_wrap=True)


def _next_nights(due: "list[DueNight]") -> str:
    """The next night of each society, the soonest first, as text; empty if there is none."""
    first: dict[str, str] = {}
    for night in due:
        first.setdefault(night.society, f"{night.society} {night.at[:16].replace('T', ' ')} UTC")
    return ", ".join(first.values())


@app.command(rich_help_panel=OPERATION)
def down(home: HomeOption = Path(DEFAULT)) -> None:
    """Stop the servers and the worker that maft started for this home."""
    with faults():
        from infra.operation.servers import down as stop

        stopped = stop(Home.open(home))
        out.print(f"stopped {', '.join(stopped)}" if stopped else "nothing to stop")


@app.command(rich_help_panel=OPERATION)
def status(
    society: Annotated[
        str | None, typer.Option(help="The society whose champion is shown; default: that of the newest job.")
    ] = None,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Show the servers and the worker, the store, the next night of each society, and a champion. Starts nothing."""
    with faults():
        from infra.home.store import store_status
        from infra.operation import servers
        from infra.operation.nightly import due_nights
        from infra.operation.up import worker_status

        place = Home(home.expanduser().resolve())
        found = servers.status(place)
        worker, store = worker_status(place), store_status()
        answers = {server.name: server.url for server in found if server.answering}
        due = due_nights(str(answers["prefect"])) if "prefect" in answers else []
        champion, compare, none = None, None, ""
        if len(answers) == len(found):
            use_servers(place, servers.Servers(str(answers["prefect"]), str(answers["mlflow"])))
            from infra.lineage.champion import known_versions
            from infra.lineage.runs import societies_by_job
            from infra.lineage.societies import find_society, list_societies
            from infra.lineage.view import find_comparison

            society = society or next(iter(societies_by_job()), "arith")
            champion, compare = find_society(society, "champion"), find_comparison(society)
            none = known_versions(society)
            if list_societies(society):
                none = f"none; the untuned base is used; {none}"
        if as_json:
            report = {
                "home": str(place.path),
                "servers": [asdict(server) for server in found],
                "worker": asdict(worker),
                "store": asdict(store) if store else None,
                "nightly": [asdict(night) for night in due],
                "champion": champion.model_dump(mode="json") if champion else None,
                "compare": compare,
            }
            print(json.dumps(report))
            return
        table = Table("", "state", "address", "pid", "since (UTC)", box=None, header_style="bold", pad_edge=False)
        for server in found:
            state = "answers" if server.answering else "silent" if server.running else "down"
            table.add_row(server.name, state, server.url or "", str(server.pid or ""), (server.since or "")[:19])
        state = "online" if worker.online else "silent" if worker.running else "down"
        table.add_row("worker", state, "", str(worker.pid or ""), (worker.since or "")[:19])
        out.print(table)
        for server in found:
            for where in server.stores:
                out.print(f"{server.name} stores in {where}", soft_wrap=True, highlight=False)
        if store:
            said = f"store {store.url} answers" if store.answering else store.fault
            out.print(said, soft_wrap=True, highlight=False, markup=False)
        out.print(f"\nnext nightly  {_next_nights(due) or 'none'}", soft_wrap=True)
        if champion:
            out.print(f"champion      {society} version {champion.version}, generation {champion.generation}")
        elif len(answers) == len(found):
            out.print(f"champion      {none}", soft_wrap=True)
        if compare:
            out.print(f"compare       {compare}", soft_wrap=True)


@app.command(rich_help_panel=OPERATION)
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without --yes, only show.")] = False,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Show stored data that no registered generation, data set or unfinished run refers to; with --yes, delete it."""
    with faults():
        serve(home)
        from infra.operation.prune import carry_out, plan

        planned = plan(Home.open(home))
        if as_json:
            deleted = carry_out(planned) if yes else []
            print(json.dumps({**planned.model_dump(mode="json"), "deleted": len(deleted)}))
            return
        table = Table("", "to delete", "MB", box=None, header_style="bold", pad_edge=False)
        for kind, title in KINDS.items():
            sizes = [item.bytes for item in planned.garbage if item.kind == kind]
            if sizes:
                table.add_row(title, f"{len(sizes):,}", f"{sum(sizes) / 1e6:,.1f}")
        out.print(table if planned.garbage else "nothing to delete")
        counts = (planned.versions, "registered version"), (len(planned.unfinished), "unfinished run")
        reasons = " and ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for count, name in counts)
        out.print(f"kept: {planned.kept:,} results and artifacts, for {reasons}", highlight=False)
        for run in planned.unfinished:
            out.print(f"  {run}", markup=False, highlight=False)
        if yes and planned.garbage:
            deleted = carry_out(planned)
            out.print(f"deleted {len(deleted):,}, {sum(item.bytes for item in deleted) / 1e6:,.1f} MB")
        elif planned.garbage:
            out.print("nothing was deleted; --yes deletes, and a finished job that runs again then computes it again")
