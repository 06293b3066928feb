"""The command line: each command reads its settings, says what is wrong in one message, and does one thing."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

import click
import msgspec

from agents.account_commands import accounts
from agents.control_commands import activate, alerts, dead_letters, diff
from agents.control_list_commands import control
from agents.convert import convert
from agents.letter_commands import list_letters, retry_letters, show_letter
from agents.log_repeats import say_repeats_once
from agents.model_commands import models
from agents.options import instant, recorded_files
from agents.seed_command import seed
from agents.settings import Settings, unknown_variables
from agents.simulation.command import simulate
from schemas.errors import LatidoError

EXIT_PROBLEM = 1
EXIT_OPERATING_ERROR = 2


class Commands(click.Group):
    """Turns an operating error of any command into one message and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except LatidoError as error:
            click.echo(f"latido: {error}", err=True)
            ctx.exit(EXIT_OPERATING_ERROR)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Latido scores B2B customers from their events as they happen. Settings are LATIDO_* variables."""


main.add_command(simulate)
main.add_command(convert)
main.add_command(models)
main.add_command(accounts)
main.add_command(alerts)
main.add_command(control)
main.add_command(dead_letters)
main.add_command(seed)
for command in (list_letters, show_letter, retry_letters):
    dead_letters.add_command(command)


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> None:
    """Run a simulated company through the real worker, with a live view."""
    from agents.demo import demo as command

    command.main(list(arguments), prog_name="latido demo", standalone_mode=False)


@main.command()
def worker() -> None:
    """Consume events, keep the account table, emit score changes and alerts, exactly once."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    say_repeats_once()
    settings = Settings.load()
    settings.require_datadir()
    sys.exit(asyncio.run(importlib.import_module("agents.run").run_worker(settings)))


@main.command()
@recorded_files
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
@click.option("--partitions", default=1, show_default=True, type=click.IntRange(1, 1024))
@click.option(
    "--until", default=None, callback=instant, help="Stop the clock here: RFC 3339 with a zone, or ms."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, writable=True, path_type=Path),
    help="Folder for the outputs.",
)
def replay(
    files: tuple[Path, ...], policy: str | None, partitions: int, until: int | None, out: Path
) -> None:
    """Run the same core over recorded events (JSON lines, also .gz and .zst), deterministic."""
    settings = Settings.load()
    _use_cache()
    from agents.program import load_program
    from agents.replay import replay_files

    program = load_program(policy or settings.policy, settings.models_dir)
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
def topics_create(partitions: int, replication: int) -> None:
    """Create the topics that are missing, then check all."""
    from agents.topics import check_topics, create_topics

    settings = Settings.load()
    created = create_topics(settings, partitions=partitions, replication=replication)
    click.echo(f"created {len(created)}: {', '.join(created)}" if created else "nothing to create")
    click.echo(f"all topics fit, {check_topics(settings)} partitions")


@topics.command("check")
def topics_check() -> None:
    """Check that all topics are there and fit together."""
    from agents.topics import check_topics

    click.echo(f"all topics fit, {check_topics(Settings.load())} partitions")


@main.command(options_metavar="[--days N] [--policy P] [--language en|es] [--json]")
@click.argument("account")
@click.argument(
    "files",
    metavar="[--files FILE...]",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option("--files", "recorded", is_flag=True, help="From recorded events instead of the worker's state.")
@click.option("--days", default=90, show_default=True, type=click.IntRange(1, 366), help="Look so far ahead.")
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
@click.option("--language", default=None, type=click.Choice(["en", "es"]), help="Default: the policy's.")
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def explain(
    account: str,
    files: tuple[Path, ...],
    *,
    recorded: bool,
    days: int,
    policy: str | None,
    language: Literal["en", "es"] | None,
    as_json: bool,
) -> None:
    """Say why an account's scores are what they are, what changes them next, and when.

    From the state that the workers have committed, or from recorded events (as `latido replay` reads them).
    """
    if recorded != bool(files):
        raise click.UsageError(
            "recorded events are named after the account: latido explain ACCOUNT --files FILE..."
        )
    settings = Settings.load()
    _use_cache()
    from agents.account_state import from_changelog, from_files
    from agents.explain import explain as explained
    from agents.explain_text import explanation_text
    from agents.program import load_program, speaking

    program = load_program(policy or settings.policy, settings.models_dir)
    state = from_files(files, program, account) if files else from_changelog(settings, program, account)
    if language is not None:
        state = state._replace(program=speaking(state.program, language))
    told = explained(state, days)
    click.echo(msgspec.json.encode(told) if as_json else explanation_text(told, state.program.words))


@main.command()
def doctor() -> None:
    """Look for what is wrong, say how to mend it, a line per check; exit code 1 if there is a problem.

    Broker, topics, permissions, transactions, partitioner and keys of the latest records, clock, state, data folder.
    Nothing is written to any topic. A check that could not tell is no problem.
    """
    settings = Settings.load()
    from agents.doctor import examine
    from agents.findings import Verdict

    verdicts = []
    for finding in examine(settings):
        click.echo(finding.line)
        verdicts.append(finding.verdict)
    sys.exit(EXIT_PROBLEM if Verdict.PROBLEM in verdicts else 0)


@main.command()
def config() -> None:
    """Show the settings in force and where each comes from, secrets masked."""
    settings = Settings.load()
    for name, field in Settings.model_fields.items():
        source = "environment" if name in settings.model_fields_set else "default"
        value = getattr(settings, name)
        shown = "" if value is None else value
        click.echo(f"LATIDO_{name.upper()}={shown}  # {source}: {field.description}")
    for stray, meant in unknown_variables(os.environ).items():
        advice = f"; did you mean {meant}?" if meant else ""
        click.echo(f"latido: {stray} is set but is no setting{advice}", err=True)


@main.group()
def report() -> None:
    """Look back at recorded events."""


@report.command("conversion")
@recorded_files
@click.option(
    "--model", default="qualification", show_default=True, help="The model that judges: by name or path."
)
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
@click.option("--period", default="month", show_default=True, type=click.Choice(["month", "quarter", "year"]))
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def report_conversion(
    files: tuple[Path, ...], *, model: str, policy: str | None, period: str, as_json: bool
) -> None:
    """Tell how many of the accounts that a model judges convert, by period and best band.

    Conversions are facts: `outcome` told as `converted`. From recorded events, as `latido replay` reads them.
    """
    settings = Settings.load()
    _use_cache()
    from agents.conversion import conversion, conversion_text
    from agents.program import load_program_of

    program = load_program_of(model, policy or settings.policy, settings.models_dir)
    rows = conversion(files, program, period)
    click.echo(msgspec.json.encode(rows) if as_json else conversion_text(rows))


@report.command("shadow")
@recorded_files
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
@click.option(
    "--against", default=None, metavar="MODEL", help="The live model beside them; default: the first."
)
def report_shadow(files: tuple[Path, ...], *, policy: str | None, against: str | None) -> None:
    """Tell what a policy's models in shadow make of recorded events: how much they tell, bands beside those of a live model."""
    settings = Settings.load()
    _use_cache()
    from agents.program import load_program
    from agents.shadow_report import shadow_text

    click.echo(shadow_text(files, load_program(policy or settings.policy, settings.models_dir), against))


@main.group()
def policy() -> None:
    """Look at policies, compare them, let one take hold."""


policy.add_command(activate)
policy.add_command(diff)


@policy.command("check")
@click.argument("file")
def policy_check(file: str) -> None:
    """Check a policy by path or name, with its models; say the bytes of an account's row."""
    settings = Settings.load()
    _use_cache()
    from agents.model_tables import enabled_text
    from agents.program import load_program

    program = load_program(file, settings.models_dir)
    click.echo(
        f"{program.policy.policy} version {program.policy.version}: models {enabled_text(program.policy)}; "
        f"{program.layout.dtype.itemsize} bytes a row; no mistakes"
    )


@main.command()
def warm() -> None:
    """Compile the core into the cache folder, so that workers start at once."""
    settings = Settings.load()
    folder = _use_cache()
    click.echo(f"compiling the core into {folder} ...")
    started = time.perf_counter()
    from agents.program import load_program
    from agents.warm import compile_core

    compile_core(load_program(settings.policy, settings.models_dir))
    click.echo(f"core ready after {time.perf_counter() - started:.1f} s")


@main.command()
def version() -> None:
    """Show the version."""
    click.echo(f"latido {importlib.metadata.version('latido')}")


def _use_cache() -> Path:
    from agents.numba_cache import use_cache

    return use_cache()
