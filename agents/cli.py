"""The command line: each command reads its settings, says what is wrong in one message, and does one thing."""

from __future__ import annotations

import asyncio
import functools
import importlib
import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agents.convert import convert
from agents.settings import Settings
from agents.simulation.command import simulate
from schemas.errors import LatidoError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_OPERATING_ERROR = 2


def told(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an operating error into one message and exit code 2."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except LatidoError as error:
            click.echo(f"latido: {error}", err=True)
            sys.exit(EXIT_OPERATING_ERROR)

    return run


def instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """Return an option's instant in ms: RFC 3339 with a zone, or integer ms."""
    if text is None or text.lstrip("-").isdigit():
        return None if text is None else int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            f"{text!r} is neither RFC 3339 with a zone (2026-01-31T00:00:00Z) nor milliseconds"
        )
    return round(moment.timestamp() * 1000)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Latido scores B2B customers from their events as they happen. Settings are LATIDO_* variables."""


main.add_command(simulate)
main.add_command(convert)


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@told
def demo(arguments: tuple[str, ...]) -> None:
    """Run a simulated company through the real worker, with a live view."""
    from agents.demo import demo as command

    command.main(list(arguments), prog_name="latido demo", standalone_mode=False)


@main.command()
@told
def worker() -> None:
    """Consume events, keep the account table, emit score changes and alerts, exactly once."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.exit(asyncio.run(importlib.import_module("agents.run").run_worker(Settings.load())))


@main.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
@click.option("--partitions", default=1, show_default=True, type=click.IntRange(1, 1024))
@click.option(
    "--until", default=None, callback=instant, help="Stop the clock here: RFC 3339 with a zone, or ms."
)
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the outputs."
)
@told
def replay(
    files: tuple[Path, ...], policy: str | None, partitions: int, until: int | None, out: Path
) -> None:
    """Run the same core over recorded events (JSON lines, also .gz and .zst), deterministic."""
    _compile_first()
    from agents.program import load_program
    from agents.replay import replay_files

    program = load_program(policy or Settings.load().policy)
    summary = replay_files(files, program, partitions=partitions, until_ms=until, out=out)
    written = ", ".join(f"{name} {count}" for name, count in summary.written.items())
    click.echo(f"{summary.lines} lines, {summary.events} events; written to {out}: {written}")


@main.group()
def topics() -> None:
    """Create and check the topics of the application."""


@topics.command("create")
@click.option(
    "--partitions", required=True, type=click.IntRange(1, 1024), help="Of the inputs and what follows them."
)
@click.option("--replication", default=1, show_default=True, type=click.IntRange(1, 16))
@told
def topics_create(partitions: int, replication: int) -> None:
    """Create the topics that are missing, then check all."""
    from agents.topics import check_topics, create_topics

    created = create_topics(Settings.load(), partitions=partitions, replication=replication)
    click.echo(f"created {len(created)}: {', '.join(created)}" if created else "nothing to create")
    click.echo(f"all topics fit, {check_topics(Settings.load())} partitions")


@topics.command("check")
@told
def topics_check() -> None:
    """Check that all topics are there and fit together."""
    from agents.topics import check_topics

    click.echo(f"all topics fit, {check_topics(Settings.load())} partitions")


@main.command()
@told
def config() -> None:
    """Show the settings in force, secrets masked."""
    settings = Settings.load()
    for name, field in Settings.model_fields.items():
        source = "set" if name in settings.model_fields_set else "default"
        click.echo(f"LATIDO_{name.upper()}={getattr(settings, name)}  # {source}; {field.description}")


@main.group()
def models() -> None:
    """Look at model files."""


@models.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@told
def models_check(file: Path) -> None:
    """Check a model file and say every mistake with its line."""
    from agents.program import load_model

    model = load_model(file)
    click.echo(
        f"{model.model} version {model.version}: {len(model.components)} components, {len(model.bands)} bands; no mistakes"
    )


@main.group()
def policy() -> None:
    """Look at policies."""


@policy.command("check")
@click.argument("file")
@told
def policy_check(file: str) -> None:
    """Check a policy with its models; say the bytes of an account's row."""
    _compile_first()
    from agents.program import load_program

    program = load_program(file)
    names = ", ".join(model.model for model in program.models)
    click.echo(
        f"{program.policy.policy} version {program.policy.version}: models {names}; {program.layout.dtype.itemsize} bytes a row"
    )


@main.command()
@told
def warm() -> None:
    """Compile the core into the cache folder, so that workers start at once."""
    folder = _compile_first()
    click.echo("compiling the core ...")
    importlib.import_module("agents.warm").compile_core(Settings.load().policy)
    click.echo(f"compiled into {folder}")


def _compile_first() -> Path:
    from agents.numba_cache import use_cache

    return use_cache()
