"""`latido seed` as it is typed, with a bar that shows how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from agents.options import instant, recorded_files
from agents.settings import Settings

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class ProgressBars:
    """A bar for each stage, on the terminal; nothing where there is none."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage: TaskID | None = None

    def begin(self, what: str, total: int) -> None:
        """Show the stage before as done, and a new one of so much."""
        self.done()
        self._stage = self._progress.add_task(what, total=total)

    def reach(self, done: int) -> None:
        """Show that so much of the stage is done."""
        assert self._stage is not None
        self._progress.update(self._stage, completed=done)

    def done(self) -> None:
        """Show the stage as done."""
        if self._stage is not None:
            total = self._progress.tasks[self._stage].total
            self._progress.update(self._stage, completed=total)


@click.command()
@recorded_files
@click.option(
    "--until",
    default=None,
    callback=instant,
    help="The cut: the files hold all until then, later events are left to the topics. RFC 3339 with a zone, or ms. "
    "Default: the largest time in the files.",
)
@click.option(
    "--positions",
    default="at-cut",
    show_default=True,
    type=click.Choice(["at-cut", "earliest"]),
    help="Where workers begin to read the topics: at the first record that is not older than the cut, or at the first "
    "there is.",
)
@click.option(
    "--rejects",
    default=None,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write every line that was rejected here, with its place and the reason, as JSON lines.",
)
@click.option("--dry-run", is_flag=True, help="Say what would come of it and write nothing to the broker.")
def seed(
    files: tuple[Path, ...],
    *,
    until: int | None,
    positions: str,
    rejects: Path | None,
    dry_run: bool,
) -> None:
    """Make the state of a fresh application from history in files; alerts wait until go-live.

    JSON lines as `latido replay` reads them (also .gz and .zst), and .parquet. The topics are there and no worker runs.
    The policy is LATIDO_POLICY, as for the workers.
    """
    settings = Settings.load()
    from agents.numba_cache import use_cache

    use_cache()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from agents.program import load_program
    from agents.seed import Order
    from agents.seed import seed as seeded
    from agents.seed_rejects import rejects_to

    program = load_program(settings.policy, settings.models_dir)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        rejects_to(rejects) as rejected,
    ):
        bars = ProgressBars(progress)
        told = seeded(
            settings, program, Order(files, until, positions == "earliest", dry_run), rejected, bars
        )
        bars.done()
    click.echo(told)
