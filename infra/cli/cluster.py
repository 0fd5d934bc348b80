"""Commands that make this machine a node of a Ray cluster: cluster head, cluster join."""

from typing import Annotated

import typer

from infra.cli.shared import OPERATION, app, faults, out, say

cluster = typer.Typer(no_args_is_help=True, help="Make this machine a node of a Ray cluster (runner.name: ray).")
app.add_typer(cluster, name="cluster", rich_help_panel=OPERATION)

AddressOption = Annotated[
    str | None, typer.Option(metavar="IP", help="The address of this machine for the others; default: its own.")
]
CpusOption = Annotated[int | None, typer.Option(min=0, help="CPUs that it offers to actors; default: all.")]
GpusOption = Annotated[int | None, typer.Option(min=0, help="GPUs that it offers to actors; default: all.")]


@cluster.command()
def head(
    address: AddressOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port of the head.")] = 6379,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
) -> None:
    """Be the head of a cluster until Ctrl-C."""
    with faults():
        from agents.runners.ray.environment import token_file
        from infra.operation.ray_node import own_address, run_head

        here = address or own_address()
        out.print(
            f"Head   {here}:{port}\n"
            f"Nodes  on each other machine, with a copy of {token_file()}: maft cluster join {here}:{port}\n"
            f"Jobs   on one of these machines: maft run --set runner.name=ray --set runner.address={here}:{port}",
            soft_wrap=True,
            highlight=False,
        )
        run_head(here, port, cpus=cpus, gpus=gpus, say=say)


@cluster.command()
def join(
    head: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The address of the head.")],
    address: AddressOption = None,
    cpus: CpusOption = None,
    gpus: GpusOption = None,
) -> None:
    """Be a node of a cluster until Ctrl-C, and join it again whenever the head or the network was away."""
    with faults():
        from infra.operation.ray_node import own_address, run_node

        run_node(head, address or own_address(), cpus=cpus, gpus=gpus, say=say)
