"""`latido report conversion`: how many of the accounts that a model judges convert, by period and by the best band they held.

An account counts once in each period in which the model judged it, under the highest band that it held then, until it
converts: when the fact `outcome` was told as `converted` (a later `null` takes that back). The conversion counts in the last
period in which the account was judged. Both shares follow: of all, and of those that reached the highest band.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.recorded import read_lines
from agents.replay import OUTPUT_FILES, replay_files
from agents.tables import table_text
from schemas.events import FactValue, Instant
from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE
from schemas.topics import Output
from streams.instants import instant_ms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from streams.plan import Program

OUTCOME: Final = "outcome"
CONVERTED: Final = "converted"
HEADS: Final = ("period", "band", "accounts", "converted", "share")
ALL: Final = "all"


class Row(msgspec.Struct, frozen=True):
    """Accounts of a period that reached a band and no higher one (band ``all``: whichever), and how many of them converted."""

    period: str
    band: str
    accounts: int
    converted: int
    share: float


class _Line(msgspec.Struct):
    account_id: str
    occurred_at: Instant
    facts: dict[str, FactValue] = {}


class _Level(msgspec.Struct):
    band: str


class _Change(msgspec.Struct):
    account_id: str
    effective_at: Instant
    new: _Level


class _View(msgspec.Struct):
    account_id: str
    as_of: Instant


def conversion(files: Sequence[Path], program: Program, period: str) -> list[Row]:
    """Return the conversion of the accounts of recorded events by the program's one model, periods in order.

    Args:
        files: recorded events, as `latido replay` reads them.
        program: of the one model that judges.
        period: ``month``, ``quarter`` or ``year``, of UTC.

    Raises:
        ConfigError: a file cannot be read.
    """
    (model,) = program.models
    with TemporaryDirectory(prefix="latido-conversion-") as folder:
        replay_files(files, program, partitions=1, until_ms=None, out=Path(folder))
        changes = _read(Path(folder) / OUTPUT_FILES[Output.SCORE_CHANGES], _Change)
        views = _read(Path(folder) / OUTPUT_FILES[Output.ACCOUNTS], _View)
    end_ms = max((instant_ms(view.as_of) for view in views), default=0)
    first_ms, converted_ms = _told(files)
    known_since = {view.account_id: first_ms[view.account_id] for view in views}
    order = [INSUFFICIENT_EVIDENCE, *model.band_names]
    best: dict[str, dict[str, str]] = {}
    for account, band, start_ms, stop_ms in _held(changes, known_since, end_ms):
        last_ms = min(stop_ms, converted_ms.get(account, end_ms))
        for name in _periods(start_ms, last_ms, period):
            known = best.setdefault(name, {})
            known[account] = max(known.get(account, band), band, key=order.index)
    judged = {account: name for name in sorted(best) for account in best[name]}
    converted = {(name, account) for account, name in judged.items() if account in converted_ms}
    return [row for name in sorted(best) for row in _rows(name, best[name], converted, order)]


def _held(
    changes: Iterable[_Change], known_since: Mapping[str, int], end_ms: int
) -> Iterator[tuple[str, str, int, int]]:
    """Return account, band, and the first and the last ms of each stretch of time in which a band was held."""
    sent = {account: [(since, INSUFFICIENT_EVIDENCE)] for account, since in known_since.items()}
    for change in changes:
        sent[change.account_id].append((instant_ms(change.effective_at), change.new.band))
    for account, bands in sent.items():
        stops = [*(start - 1 for start, _ in bands[1:]), end_ms]
        for (start, band), stop in zip(bands, stops, strict=True):
            if band != NOT_APPLICABLE:
                yield account, band, start, stop


def _rows(
    period: str, best: dict[str, str], converted: set[tuple[str, str]], order: Sequence[str]
) -> Iterator[Row]:
    for band in (*order, ALL):
        accounts = [account for account, found in best.items() if band in (found, ALL)]
        count = sum((period, account) in converted for account in accounts)
        if accounts:
            yield Row(period, band, len(accounts), count, round(count / len(accounts), 4))


def _told(files: Sequence[Path]) -> tuple[dict[str, int], dict[str, int]]:
    """Return the ms since which each account is known, and at which it converted, if that was not taken back."""
    first: dict[str, int] = {}
    outcomes: list[tuple[int, str, FactValue]] = []
    decoder = msgspec.json.Decoder(_Line)
    for line in read_lines(files):
        try:
            told = decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # a dead letter of the replay
            continue
        at_ms = instant_ms(told.occurred_at)
        first[told.account_id] = min(first.get(told.account_id, at_ms), at_ms)
        if OUTCOME in told.facts:
            outcomes.append((at_ms, told.account_id, told.facts[OUTCOME]))
    converted: dict[str, int] = {}
    for at_ms, account, outcome in sorted(outcomes, key=lambda each: each[0]):
        if outcome == CONVERTED:
            converted.setdefault(account, at_ms)
        elif outcome is None:
            converted.pop(account, None)
    return first, converted


def _read(path: Path, kind: type[Any]) -> list[Any]:
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def _periods(start_ms: int, last_ms: int, period: str) -> Iterator[str]:
    """Return the names of the periods from one instant to another, both included; none if the second is before the first."""
    if last_ms < start_ms:
        return
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (start_ms, last_ms))
    for month in range(12 * first.year + first.month - 1, 12 * last.year + last.month):
        year, number = divmod(month, 12)
        yield {
            "month": f"{year}-{number + 1:02}",
            "quarter": f"{year}-Q{number // 3 + 1}",
            "year": str(year),
        }[period]


def conversion_text(rows: Sequence[Row]) -> str:
    """Return a table of conversion; its last line of a period is that of all accounts."""
    cells = [
        [row.period, row.band, str(row.accounts), str(row.converted), f"{100 * row.share:.1f} %"]
        for row in rows
    ]
    return table_text(HEADS, cells, numbers=("accounts", "converted", "share"))
