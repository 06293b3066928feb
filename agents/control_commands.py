"""Commands that change the running application, by a record of the control topic, or tell what a change would do."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from agents.numba_cache import use_cache
from agents.options import instant, recorded_files
from agents.settings import Settings
from agents.simulation.clocktext import instant_text
from schemas.control import ActivatePolicy, GoLive, Pause, Resume, ResumeInput, SkipInput, content_hash
from schemas.errors import ConfigError
from schemas.topics import INPUT_TOPICS

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from pathlib import Path

    from agents.control_topic import Halt
    from schemas.control import ControlRecord

INPUTS = [spec.name for spec in INPUT_TOPICS.values()]
AT = click.option(
    "--at",
    "at_ms",
    default=None,
    callback=instant,
    help="From this instant on: RFC 3339 with a zone, or ms. Default: now.",
)
AUTHOR = click.option("--author", default=None, help="Who says so; kept in the record.")


@click.group()
def alerts() -> None:
    """Hold alerts back, and tell what is still open when they go on."""


@alerts.command("pause")
@AT
@AUTHOR
def pause(at_ms: int | None, author: str | None) -> None:
    """Hold alerts of both topics back from an instant on; scores and episodes go on."""
    at_ms, text = _moment(at_ms)
    _write(Pause(id=text, effective_at=at_ms, author=author))
    click.echo(
        f"from {text} on no alert begins or rises; the end of one that was told is told. `latido alerts resume` ends it."
    )


@alerts.command("resume")
@AT
@AUTHOR
def resume(at_ms: int | None, author: str | None) -> None:
    """Let alerts go on: what was held back and is still open is told then, once, with its true beginning."""
    at_ms, text = _moment(at_ms)
    _write(Resume(id=text, effective_at=at_ms, author=author))
    click.echo(f"alerts go on at {text}; what was held back and is still open is told then.")


@alerts.command("go-live")
@AT
@AUTHOR
def go_live(at_ms: int | None, author: str | None) -> None:
    """Hold back what happened before an instant: history makes the state, and alerts nobody."""
    at_ms, text = _moment(at_ms)
    _write(GoLive(effective_at=at_ms, author=author))
    click.echo(f"before {text} no alert is told; what is still open then is told then.")


@click.command("activate")
@click.argument("file")
@AT
@AUTHOR
def activate(file: str, at_ms: int | None, author: str | None) -> None:
    """Let a policy (path or name) with its models take hold in all workers at an instant of event time."""
    settings = Settings.load()
    use_cache()
    from agents.control_topic import last_activation
    from agents.program import policy_with_models
    from agents.topics import check_topics
    from agents.zones import ZoneDatabase
    from streams.plan import compile_program

    rules, found = policy_with_models(file, settings.models_dir)
    models = [model for model, _ in found]
    compile_program(rules, models, ZoneDatabase())
    check_topics(settings)
    policy = rules.model_dump(mode="json", by_alias=True)
    contents = [model.model_dump(mode="json", by_alias=True) for model in models]
    at_ms, text = _moment(at_ms)
    before = last_activation(settings)
    record = ActivatePolicy(
        id=f"{rules.policy} {rules.version} {text}", effective_at=at_ms, author=author,
        hash=content_hash(policy, contents), policy=policy, models=contents,
    )  # fmt: skip
    skew = None if before is None else before.policy.get("max_future_skew_s", rules.max_future_skew_s)
    if skew not in (None, rules.max_future_skew_s):
        raise ConfigError(
            f"max_future_skew_s is {rules.max_future_skew_s}, and {skew} in the policy activated before: workers would stop. "
            "Keep it."
        )
    _write(record)
    click.echo(_told(record, before, text, settings.policy))


def _told(record: ActivatePolicy, before: ActivatePolicy | None, text: str, first: str) -> str:
    known = {} if before is None else {model["model"]: model for model in before.models}
    new = [model["model"] for model in record.models if known.get(model["model"]) != model]
    was = [] if before is None else before.policy.get("shadow", [])
    moved = _moved(was, record.policy["shadow"], known)
    after = f"LATIDO_POLICY of each worker (here {first})" if before is None else f"{before.id!r}"
    return (
        f"{record.policy['policy']} version {record.policy['version']} ({record.hash}) takes hold at {text}, after {after}.\n"
        f"Each partition follows as its events get there. Score changes of new models ({', '.join(new) or 'none'}) have the "
        f"cause `model`; the change by itself alerts nobody, and ends what no longer holds, resolved by `policy`.\n{moved}"
        f"To withdraw it before: `latido control withdraw 'policy:{record.id}'`."
    )


def _moved(was: Sequence[str], now: Sequence[str], known: Container[str]) -> str:
    """Return a line about the models, of those that were known before, that go live or into shadow."""
    live, shadow = (
        [name for name in one if name not in other and name in known]
        for one, other in ((was, now), (now, was))
    )
    told = [f"{', '.join(names)} {how}" for names, how in ((live, "live"), (shadow, "in shadow")) if names]
    return f"From then on {' and '.join(told)}; its first score there is told at once.\n" if told else ""


@click.command("diff")
@click.argument("before")
@click.argument("after")
@recorded_files
@click.option(
    "--days",
    default=30,
    show_default=True,
    type=click.IntRange(1, 3650),
    help="Alerts of the last so many days.",
)
def diff(before: str, after: str, files: tuple[Path, ...], days: int) -> None:
    """Compare what two policies (paths or names) tell of recorded events: alerts by reason, accounts, bands at the end."""
    settings = Settings.load()
    use_cache()
    from agents.policy_diff import diff_text, told_by
    from agents.program import load_program

    programs = [load_program(name, settings.models_dir) for name in (before, after)]
    told = [told_by(program, files, days=days) for program in programs]
    names = [f"{program.policy.policy} {program.policy.version}" for program in programs]
    click.echo(diff_text(names if names[0] != names[1] else ["before", "after"], told))


@click.group("dead-letters")
def dead_letters() -> None:
    """Look at what was rejected, try it again, and let inputs go on that rejects in a row have halted."""


@dead_letters.command("halted")
def halted() -> None:
    """Tell which inputs are halted, as the workers have committed it."""
    use_cache()
    from agents.control_topic import halts

    found = halts(Settings.load())
    for halt in found:
        click.echo(f"halted: {halt}")
    if not found:
        click.echo("no input is halted")


@dead_letters.command("resume")
@click.argument("name", metavar="INPUT", type=click.Choice(INPUTS))
@click.argument("partition", type=click.IntRange(0, 1023))
@AUTHOR
def resume_input(name: str, partition: int, author: str | None) -> None:
    """Let a halted input go on behind the reject that halted it."""
    halt = _halt(name, partition)
    now_ms, _ = _moment(None)
    _write(
        ResumeInput(
            id=f"{name} {partition} {halt.offset}", effective_at=now_ms, author=author,
            input=name, partition=partition, offset=halt.offset,
        )
    )  # fmt: skip
    click.echo(f"{name} of partition {partition} goes on at offset {halt.offset + 1}.")


@dead_letters.command("skip")
@click.argument("name", metavar="INPUT", type=click.Choice(INPUTS))
@click.argument("partition", type=click.IntRange(0, 1023))
@click.option(
    "--to-offset", required=True, type=click.IntRange(1), help="The first record that is read again."
)
@AUTHOR
def skip_input(name: str, partition: int, to_offset: int, author: str | None) -> None:
    """Let a halted input go on at a later offset; what lies before it is never read."""
    halt = _halt(name, partition)
    if to_offset <= halt.offset:
        raise ConfigError(f"--to-offset {to_offset} lies before {halt}. Give a greater one, or `resume` it.")
    now_ms, _ = _moment(None)
    _write(
        SkipInput(
            id=f"{name} {partition} {halt.offset}", effective_at=now_ms, author=author,
            input=name, partition=partition, offset=halt.offset, to_offset=to_offset,
        )
    )  # fmt: skip
    click.echo(
        f"{name} of partition {partition} goes on at offset {to_offset}; {to_offset - halt.offset - 1} records are left out."
    )


def _halt(name: str, partition: int) -> Halt:
    use_cache()
    from agents.control_topic import halts

    found = halts(Settings.load())
    for halt in found:
        if INPUT_TOPICS[halt.topic].name == name and halt.partition == partition:
            return halt
    others = "; ".join(map(str, found)) or "none"
    raise ConfigError(f"{name} of partition {partition} is not halted. Halted are: {others}.")


def _moment(at_ms: int | None) -> tuple[int, str]:
    moment = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    return moment, instant_text(moment)


def _write(record: ControlRecord) -> None:
    use_cache()
    from agents.control_topic import write_control
    from agents.topics import check_topics

    settings = Settings.load()
    check_topics(settings)
    write_control(settings, record)
