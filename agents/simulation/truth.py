"""What really happens to each account: written beside the events for judging alerts, read by no scorer."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from agents.simulation.accounts import FAR_DAY, KINDS, Accounts
from agents.simulation.archetypes import ARCHETYPES
from agents.simulation.calendars import ZONES, date_of, offset_ms
from agents.simulation.clocktext import instant_text
from agents.simulation.fates import CAUSES, Fates, Outcome
from agents.simulation.tickets import TROUBLE_DAYS

if TYPE_CHECKING:
    from agents.simulation.arrays import Ints
    from agents.simulation.changes import Changes

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
FAR_MS: Final = FAR_DAY * DAY_MS


def midnight_ms(accounts: Accounts, account: int, day: int) -> int:
    """Return the instant at which a local day begins for an account, ``FAR_MS`` if it never comes."""
    if day >= FAR_DAY:
        return FAR_MS
    return day * DAY_MS - offset_ms(accounts.zone_name(account, day), day)


def stop_ms(accounts: Accounts, fates: Fates, account: int) -> int:
    """Return the instant from which an account has no events any more, ``FAR_MS`` if it stays."""
    midnight = midnight_ms(accounts, account, int(fates.stops_on[account]))
    return midnight if midnight >= FAR_MS else midnight + int(fates.stops_at_minute[account]) * MINUTE_MS


def truth_of(
    accounts: Accounts, fates: Fates, changes: Changes, account: int, start_ms: int, end_ms: int
) -> dict[str, Any]:
    """Return the truth of one account within ``[start_ms, end_ms)``.

    ``healthy`` holds half-open intervals in which silence means nothing bad (rests, seasons and leave
    included), ``pauses`` those in which nobody uses the product before it is taken up again, ``changes`` what
    else was done to the account, by its begin.
    """
    stops = stop_ms(accounts, fates, account)
    fades = midnight_ms(accounts, account, int(fates.fades_from[account]))
    began = midnight_ms(accounts, account, int(accounts.began[account]))
    pauses = _pauses(accounts, fates, account, start_ms, min(stops, end_ms))
    outcome = Outcome(int(fates.outcome[account]))
    worse = min(int(changes.declines_from[account]), int(changes.cut_from[account]))
    seen = outcome is Outcome.NEVER_STARTS or min(stops, fades) < end_ms
    healthy_to = (
        began
        if outcome is Outcome.NEVER_STARTS
        else min(fades, stops, midnight_ms(accounts, account, worse), end_ms)
    )
    return {
        "account_id": accounts.ids[account],
        "archetype": ARCHETYPES[int(accounts.archetype[account])].name,
        "kind": KINDS[int(accounts.kind[account])][0],
        "time_zone": ZONES[int(accounts.zone[account])].name,
        "began_at": instant_text(began),
        "outcome": outcome.name.lower() if seen else "stays",
        "cause": CAUSES[int(fates.cause[account])].name if seen and outcome is not Outcome.STAYS else None,
        "fades_from": instant_text(fades) if fades < end_ms else None,
        "stops_at": instant_text(stops) if stops < end_ms else None,
        "healthy": _texts(_without(max(began, start_ms), healthy_to, pauses)),
        "pauses": _texts(pauses),
        "changes": _changes(accounts, fates, changes, account, start_ms, min(stops, end_ms)),
        "cancel_page_days": [
            str(date_of(day))
            for day in sorted(set(fates.cancel_days[account].tolist()))
            if day < FAR_DAY and start_ms < midnight_ms(accounts, account, day) < end_ms - DAY_MS
        ],
    }


def _pauses(
    accounts: Accounts, fates: Fates, account: int, start_ms: int, end_ms: int
) -> list[tuple[int, int]]:
    begin = max(start_ms, midnight_ms(accounts, account, int(fates.pauses_from[account])))
    end = min(end_ms, midnight_ms(accounts, account, int(fates.pauses_until[account])))
    return [(begin, end)] if begin < end else []


def _changes(
    accounts: Accounts, fates: Fates, changes: Changes, account: int, start_ms: int, end_ms: int
) -> list[dict[str, Any]]:
    """What was done to an account: begin, end (null if it is after the end of the run or of the account), and how."""
    found = []
    for what, first, last, how in sorted(_planned(accounts, fates, changes, account), key=itemgetter(1)):
        begin, end = midnight_ms(accounts, account, first), midnight_ms(accounts, account, last)
        if end >= start_ms and begin < end_ms:
            until = instant_text(end) if end < end_ms else None
            found.append({"what": what, "from": instant_text(begin), "until": until, **how})
    return found


def _planned(
    accounts: Accounts, fates: Fates, changes: Changes, account: int
) -> list[tuple[str, int, int, dict[str, Any]]]:
    """Name, first day, last day and details of everything that is to happen, ``FAR_DAY`` if it never does."""

    def of(column: Ints) -> int:
        return int(column[account])

    stops, moves, converts, grows = map(
        of, (fates.stops_on, accounts.moves_on, fates.converts_on, changes.grows_from)
    )
    decides = of(changes.looks_until)
    trouble = stops - TROUBLE_DAYS + 1 if fates.trouble[account] else FAR_DAY
    level, share = float(changes.declines_to[account]), float(changes.cut_share[account])
    return [
        ("declines", of(changes.declines_from), of(changes.declines_until), {"to": round(level, 3)}),
        ("users_leave", of(changes.cut_from), of(changes.cut_until), {"share": round(share, 3)}),
        ("users_join", grows, of(changes.grows_until), {"users": of(changes.grows_by)}),
        ("considers_upgrade", of(changes.looks_from), decides, {"buys": decides in {grows, converts}}),
        ("has_trouble", trouble, stops, {}),
        ("moves", moves, moves, {"time_zone": accounts.zone_name(account, moves)}),
        ("becomes_customer", converts, converts, {}),
    ]


def _without(begin: int, end: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ``[begin, end)`` less the gaps."""
    pieces = []
    for gap_begin, gap_end in gaps:
        pieces.append((begin, min(gap_begin, end)))
        begin = max(begin, gap_end)
    return [(a, b) for a, b in [*pieces, (begin, end)] if a < b]


def _texts(intervals: list[tuple[int, int]]) -> list[list[str]]:
    return [[instant_text(begin), instant_text(end)] for begin, end in intervals]
