"""`latido models`: what there is, what it sees and costs, what is wrong with it, what two of them differ in."""

from __future__ import annotations

from pathlib import Path

import click

from agents.numba_cache import use_cache
from agents.settings import Settings
from schemas.errors import ConfigError

RECORDED = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def models() -> None:
    """Look at models."""


@models.command("list")
@click.argument("files", metavar="[FILE...]", nargs=-1, type=RECORDED)
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
def models_list(files: tuple[Path, ...], policy: str | None) -> None:
    """List the models that a policy enables or can enable: shipped ones, and those of LATIDO_MODELS_DIR.

    With recorded events also how much of their accounts each model sees, and which facts would raise that most.
    """
    settings = Settings.load()
    from agents.model_tables import models_table

    click.echo(models_table(policy or settings.policy, settings.models_dir))
    if files:
        use_cache()
        from agents.model_coverage import coverage_table

        click.echo(f"\n{coverage_table(files, policy or settings.policy, settings.models_dir)}")


@models.command("check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
def models_check(files: tuple[str, ...]) -> None:
    """Check models or policies by path or name: every mistake with its line, and the row that an account needs."""
    settings = Settings.load()
    from agents.model_tables import file_report

    mistakes = []
    for file in files:
        try:
            click.echo(file_report(file, settings))
        except ConfigError as error:
            mistakes.append(str(error))
    if mistakes:
        raise ConfigError("\n".join(mistakes))


@models.command("diff")
@click.argument("first")
@click.argument("second")
@click.argument("files", metavar="[FILE...]", nargs=-1, type=RECORDED)
@click.option("--policy", default=None, help="A shipped policy's name or a file; default: LATIDO_POLICY.")
def models_diff(first: str, second: str, files: tuple[Path, ...], policy: str | None) -> None:
    """Tell what two models, by name or path, differ in.

    With recorded events also how many of their accounts are in another band by the second, and in which.
    """
    settings = Settings.load()
    use_cache()
    from agents.model_diff import diff_text

    click.echo(diff_text(first, second, files, policy or settings.policy, settings.models_dir))
