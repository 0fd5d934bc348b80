"""The command that makes a society improve every night: nightly."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from infra.cli.shared import OPERATION, HomeOption, JsonOption, SetOption, app, faults, out, say, serve
from infra.home.home import DEFAULT, Home


@app.command(rich_help_panel=OPERATION)
def nightly(
    config_file: Annotated[Path | None, typer.Argument(metavar="[CONFIG.yaml]", show_default=False)] = None,
    assignments: SetOption = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="CRON",
            help="When, as a cron line in the time zone MAFT_TIMEZONE; default: as before, or '0 2 * * *', which is "
            "02:00.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="End it; what the nights made stays.")] = False,
    home: HomeOption = Path(DEFAULT),
    as_json: JsonOption = False,
) -> None:
    """Let a society improve every night: one generation on top of its champion, from the config of a job.

    It starts what `maft up` starts. The same command with another config or time changes the nights to come.
    """
    with faults():
        from infra.config.absolute import absolute
        from infra.config.check import check_job
        from infra.config.file import load_config
        from infra.errors import UserError

        config = load_config(config_file, assignments or [])
        if remove:
            if at is not None:
                raise UserError(f"--at is {at!r}, but --remove ends the nights; leave one of them out")
            _remove(config.society, home, as_json)
            return
        from infra.operation.nightly import cron_schedule, deployment_page, one_more, put
        from infra.operation.up import operate_at_any_worker

        config = absolute(config)
        night = one_more(config)
        check_job(config)
        servers = serve(home)
        # Prefect checks cron lines, and may be imported only now.
        schedule = None if at is None else cron_schedule(at)
        from infra.lineage import champion

        start = champion.generation(config.society, night["start_from"])
        operate_at_any_worker(Home.open(home), say)
        if config.hosted or config.engine.asks_server:
            _check_keys(Home.open(home))
        made = put(servers.prefect_api_url, night, schedule)
        url = deployment_page(servers.prefect_api_url, made.deployment_id)
        if as_json:
            print(json.dumps({**asdict(made), "start": start.version if start else "base", "url": url}))
            return
        begins = f"version {start.version}, generation {start.generation}" if start else "the untuned base"
        out.print(f"Society  {config.society}, now from {begins}", soft_wrap=True, highlight=False)
        when = f"{made.next[:16].replace('T', ' ')} UTC" if made.next else "none, since its schedule is switched off"
        out.print(f"Nightly  {when}; to pause or move it: {url}", soft_wrap=True)


def _check_keys(home: Home) -> None:
    """Refuse nights whose runs would lack a key that this shell has.

    Raises:
        UserError: the worker was started without it.
    """
    from infra.errors import UserError
    from infra.operation.up import worker_lacks

    lacking = worker_lacks(home, (name for name in os.environ if name.endswith("_API_KEY")))
    if lacking:
        raise UserError(
            f"the worker was started without {' and '.join(lacking)}, which this shell has, so the nights would have "
            "no key; run `maft down`, then this command again"
        )


def _remove(society: str, home: Path, as_json: bool) -> None:
    servers = serve(home)
    from infra.operation.nightly import remove

    removed = remove(servers.prefect_api_url, society)
    if as_json:
        print(json.dumps({"society": society, "removed": removed}))
        return
    out.print(f"removed the deployment {removed}; generations and records of {society} stay", highlight=False)
