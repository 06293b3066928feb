"""How often silence was a false alarm: the outputs of a replay held against the recording that was replayed.

A silence that *ended by activity* was a false alarm: the account had not left. A recording without known departures
does not say how much time to set that against, so there are three readings:

- *recorded*: from an account's first activity to the end of the recording, as if nobody ever left. The least it can be.
- *engaged*: from the first activity to the last one, when the account was surely there. A pause that outlasts the
  recording counts neither as an alarm nor as time.
- *worst*: engaged, and every silence that was open at the end taken for false too, as if all came back the day after.

For recordings in which every event is activity, as `latido convert` writes them, and policies whose only rules
are silences: beside an open reason of another kind, a silence that ends is no message of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import msgspec

from schemas.reasons import ResolvedBy, Rule, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

YEAR_S: Final = 365.25 * 86_400
MANY_GAPS: Final = 10


class Span(NamedTuple):
    """First and last activity of an account, in seconds since 1970."""

    first_s: float
    last_s: float

    def years(self, start_s: float, end_s: float | None = None) -> float:
        """Return the years from ``start_s`` or the first activity to ``end_s`` or the last one."""
        end_s = self.last_s if end_s is None else end_s
        return max(0.0, end_s - max(self.first_s, start_s)) / YEAR_S


class Figures(NamedTuple):
    """What a replay came to.

    ``back`` and ``still_open`` count silences that began at or after the start, by how they ended; years are
    account-years after the start, in the three readings.
    """

    accounts: int
    events: int
    score_changes: int
    episodes_opened: int
    episodes_resolved: int
    budget: float
    back: int
    accounts_back: int
    back_with_many_gaps: int
    still_open: int
    recorded_years: float
    engaged_years: float
    worst_years: float
    engaged_years_of_back: float


def figures(recording: Path, results: Path, start_s: float = 0.0) -> Figures:
    """Return the figures of a recording (plain JSON lines) and the folder that `latido replay` wrote of it.

    Silences that began before ``start_s`` and the time before it are left out.
    """
    spans, events = _spans(recording)
    end_s = max(span.last_s for span in spans.values())
    alerts = list(_lines(results / "disengagements.jsonl"))
    ended = [alert for alert in alerts if alert["resolved_by"] == ResolvedBy.ACTIVITY]
    back = [(alert["account_id"], silence) for alert in ended for silence in _silences(alert, start_s)]
    still_open = {
        view["account_id"]: silence
        for view in _lines(results / "accounts.jsonl")
        for episode in view["episodes"]
        for silence in _silences(episode, start_s)
    }
    evidence = [silence["evidence"] for _, silence in [*back, *still_open.items()]]
    accounts_back = {account for account, _ in back}
    return Figures(
        accounts=len(spans),
        events=events,
        score_changes=sum(1 for _ in _raw_lines(results / "score-changes.jsonl")),
        episodes_opened=sum(alert["status"] == Status.FIRING for alert in alerts),
        episodes_resolved=sum(alert["status"] == Status.RESOLVED for alert in alerts),
        budget=next((told["false_alarms_per_year"] for told in evidence), 0.0),
        back=len(back),
        accounts_back=len(accounts_back),
        back_with_many_gaps=sum(silence["evidence"]["gaps_known"] >= MANY_GAPS for _, silence in back),
        still_open=len(still_open),
        recorded_years=sum(span.years(start_s, end_s) for span in spans.values()),
        engaged_years=sum(span.years(start_s) for span in spans.values()),
        worst_years=sum(
            span.years(start_s, end_s if account in still_open else None) for account, span in spans.items()
        ),
        engaged_years_of_back=sum(spans[account].years(start_s) for account in accounts_back),
    )


def _silences(episode: dict[str, Any], start_s: float) -> list[dict[str, Any]]:
    reasons = episode["reasons"]
    return [it for it in reasons if it["rule"] == Rule.SILENCE.label and _seconds(it["since"]) >= start_s]


def _spans(recording: Path) -> tuple[dict[str, Span], int]:
    spans: dict[str, Span] = {}
    events = 0
    for event in _lines(recording):
        events += 1
        at_s, account = _seconds(event["occurred_at"]), event["account_id"]
        known = spans.get(account, Span(at_s, at_s))
        spans[account] = Span(min(known.first_s, at_s), max(known.last_s, at_s))
    return spans, events


def _lines(path: Path) -> Iterator[Any]:
    return map(msgspec.json.decode, _raw_lines(path))


def _raw_lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as lines:
        yield from lines


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()


def table(told: Figures) -> str:
    """Return the figures as text, a figure a line."""
    rows = (
        ("accounts", f"{told.accounts:,}"),
        ("events", f"{told.events:,}"),
        ("score changes", f"{told.score_changes:,}"),
        ("episodes", f"{told.episodes_opened:,} opened, {told.episodes_resolved:,} resolved"),
        ("silences", f"{told.back + told.still_open:,}"),
        ("  ended by activity: false alarms", f"{told.back:,} of {told.accounts_back:,} accounts"),
        (f"    with {MANY_GAPS} known gaps or more", f"{told.back_with_many_gaps:,}"),
        ("  open at the end", f"{told.still_open:,}"),
        ("budget of false alarms", f"{told.budget:.2f} per account-year"),
        ("  recorded: from first activity to the end", _rate(told.back, told.recorded_years)),
        ("  engaged: from first to last activity", _rate(told.back, told.engaged_years)),
        ("  worst: engaged, the open ones false too", _rate(told.back + told.still_open, told.worst_years)),
        ("  engaged, of accounts that came back alone", _rate(told.back, told.engaged_years_of_back)),
    )
    return "".join(f"{name:<45} {value}\n" for name, value in rows)


def _rate(count: int, years: float) -> str:
    return f"{count / years:.2f} in {years:,.1f} account-years" if years else "no time to judge"


@click.command()
@click.argument("recording", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("results", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--from", "start", type=click.DateTime(["%Y-%m-%d"]), help="Leave out what lies before this day."
)
def main(recording: Path, results: Path, start: datetime | None) -> None:
    """Print the false alarms of silence in RESULTS, which `latido replay` wrote of RECORDING."""
    start_s = start.replace(tzinfo=UTC).timestamp() if start else 0.0
    click.echo(table(figures(recording, results, start_s)), nl=False)


if __name__ == "__main__":
    main()
