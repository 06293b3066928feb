"""`latido simulate`: writes a simulated company to a file, or to Kafka, once or going on in real time."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from agents.simulation.clocktext import instant_text
from agents.simulation.company import DAY_MS, Company, Span
from agents.simulation.feed import Feed, Stamp
from agents.simulation.lines import write_events, write_objects
from agents.simulation.live import paced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

from agents.simulation.company import SimulatedEvent

ENDLESS_DAYS: Final = 3650
LATEST_MS: Final = 4_000_000_000_000


class Request(NamedTuple):
    """What was asked for on the command line, checked."""

    accounts: int
    days: int
    seed: int
    out: Path | None
    broker: str | None
    topic_prefix: str
    stamp: Stamp
    truth: Path | None
    until_ms: int
    rate: float
    live_seconds: float | None
    live: bool
    volume: float

    @property
    def span(self) -> Span:
        """The span to simulate."""
        endless = self.live and self.live_seconds is None
        further_ms = ENDLESS_DAYS * DAY_MS if endless else int((self.live_seconds or 0.0) * 1000)
        return Span(
            seed=self.seed,
            accounts=self.accounts,
            start_ms=self.until_ms - self.days * DAY_MS,
            days=self.days,
            further_ms=further_ms,
            volume=self.volume,
        )


class Instant(click.ParamType):
    """An RFC 3339 instant with a zone, or ``now``, as milliseconds UTC."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the instant in milliseconds UTC."""
        if isinstance(value, int):
            return value
        if value == "now":
            return time.time_ns() // 1_000_000
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is not an instant. Write for example 2026-03-01T00:00:00Z, or now.", param, ctx
            )
        if instant.tzinfo is None:
            self.fail(f"{value!r} has no time zone. Write {value}Z for UTC.", param, ctx)
        at_ms = int(instant.timestamp() * 1000)
        if not 0 < at_ms < LATEST_MS:
            self.fail(f"{value!r} is out of range. Allowed are the years 1971 to 2095.", param, ctx)
        return at_ms


@click.command()
@click.option(
    "--accounts", type=click.IntRange(1, 1_000_000), default=500, show_default=True, help="Customers."
)
@click.option("--days", type=click.IntRange(1, 3660), default=90, show_default=True, help="Days of history.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**63 - 1),
    default=1,
    show_default=True,
    help="Same seed and arguments, same bytes.",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File of recorded events (.gz, .zst)."
)
@click.option("--broker", metavar="HOST:PORT", help="Send to this Kafka instead of a file.")
@click.option("--topic-prefix", default="", help="Put before the name of every topic.")
@click.option(
    "--timestamps",
    type=click.Choice([stamp.value for stamp in Stamp]),
    default=Stamp.SENT.value,
    show_default=True,
    help="Kafka timestamps: when sent, or when the event occurred.",
)
@click.option("--truth", type=click.Path(dir_okay=False, path_type=Path), help="File of what really happens.")
@click.option("--until", type=Instant(), default="now", show_default=True, help="End of the history.")
@click.option(
    "--rate", type=click.FloatRange(0, 100_000), help="Go on live with so many further events a second."
)
@click.option("--live-seconds", type=click.FloatRange(0, min_open=True), help="Go on live, for so long.")
@click.option(
    "--volume",
    type=click.FloatRange(0.1, 20),
    default=1.0,
    show_default=True,
    help="Factor of pages and sessions a day; rhythms stay.",
)
@click.pass_context
def simulate(ctx: click.Context, /, **given: Any) -> None:
    """Simulate a company's customers: log-ins, page visits, tickets, payments, facts.

    Writes recorded events to --out (input of `latido replay`) or to Kafka at --broker. With --rate or
    --live-seconds the company goes on in real time after the history.
    """
    request = _checked(ctx, given)
    company = Company(request.span)
    click.echo(
        f"seed {request.seed}: {request.accounts} accounts, {request.days} days until "
        f"{instant_text(request.until_ms)} (run {request.span.run})",
        err=True,
    )
    try:
        if request.truth is not None:
            write_objects(request.truth, company.truth())
        counts: Counter[str] = Counter()
        _deliver(request, _counted(company if not request.live else _live(company, request), counts))
    except KeyboardInterrupt:
        click.echo("stopped", err=True)
    click.echo(_summary(counts), err=True)


def _checked(ctx: click.Context, given: dict[str, Any]) -> Request:
    live = given["rate"] is not None or given["live_seconds"] is not None
    if (given["out"] is None) == (given["broker"] is None):
        raise click.UsageError("Say where to: either --out FILE or --broker HOST:PORT.")
    if live and given["broker"] is None:
        raise click.UsageError("--rate and --live-seconds go on in real time: they need --broker HOST:PORT.")
    until_given = ctx.get_parameter_source("until") is not click.core.ParameterSource.DEFAULT
    if live and until_given:
        raise click.UsageError(
            "--until cannot be given with --rate or --live-seconds: live history ends now."
        )
    return Request(
        **{
            name: given[name]
            for name in ("accounts", "days", "seed", "out", "broker", "topic_prefix", "truth")
        },
        stamp=Stamp(given["timestamps"]),
        until_ms=given["until"],
        rate=given["rate"] or 0.0,
        live_seconds=given["live_seconds"],
        live=live,
        volume=given["volume"],
    )


def _live(company: Company, request: Request) -> Iterator[SimulatedEvent | None]:
    return paced(company, request.rate, lambda: time.time_ns() // 1_000_000, time.sleep)


def _counted(
    events: Iterable[SimulatedEvent | None], counts: Counter[str]
) -> Iterator[SimulatedEvent | None]:
    for event in events:
        if event is not None:
            counts[event.topic.name.lower().replace("_", " ")] += 1
        yield event


def _deliver(request: Request, events: Iterator[SimulatedEvent | None]) -> None:
    if request.out is not None:
        write_events(request.out, (event for event in events if event is not None))
        return
    assert request.broker is not None
    with Feed(request.broker, request.topic_prefix, request.stamp) as feed:
        for event in events:
            if event is None:
                feed.serve()
            else:
                feed.send(event)


def _summary(counts: Counter[str]) -> str:
    parts = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return f"{sum(counts.values())} events: {parts}" if parts else "0 events"
