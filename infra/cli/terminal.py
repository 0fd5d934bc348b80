"""Shows the progress of a run in a terminal."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from infra.home.progress import listeners


@contextmanager
def progress_bars(console: Console) -> Iterator[None]:
    """Show every step of this process as a bar, and a line when it is done; without a terminal, show only the lines.

    Raises:
        SystemExit: with status 130 after Ctrl-C, when a line has said that finished steps are kept.
    """
    bars = Progress(
        TextColumn("{task.description:<44}"),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    running: dict[str, TaskID] = {}
    headed = False

    def listen(label: str, done: int, total: int) -> None:
        nonlocal headed
        if label not in running:
            running[label] = bars.add_task(label, total=total)
        bars.update(running[label], completed=done, total=total)
        if done >= total:
            task = next(task for task in bars.tasks if task.id == running[label])
            seconds = task.finished_time or task.elapsed or 0.0
            bars.remove_task(running.pop(label))
            if not headed:
                console.print(f"[dim]{'step':<48} {'parts':>9} {'time':>8}[/dim]", highlight=False)
                headed = True
            console.print(f"[dim]{label:<48} {total:>9,} {seconds:6.1f} s[/dim]", highlight=False)

    interruptions: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        interruptions.append(number)
        raise KeyboardInterrupt

    listeners.append(listen)
    # A job in the background of a shell ignores the signal, and must go on doing so.
    by_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if by_default:
        signal.signal(signal.SIGINT, interrupt)
    try:
        with bars:
            yield
    except BaseException as error:
        # A library that was interrupted while it cleaned up may raise another error.
        if not interruptions and not isinstance(error, KeyboardInterrupt):
            raise
        console.print("interrupted; the same command continues after the last step above", highlight=False)
        raise SystemExit(130) from error
    finally:
        if by_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        listeners.remove(listen)
