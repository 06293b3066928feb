"""What really happens to each account: written beside the events for judging alerts, read by no scorer."""

from __future__ import annotations

from typing import Any, Final

from agents.simulation.accounts import KINDS, Accounts
from agents.simulation.archetypes import ARCHETYPES
from agents.simulation.calendars import ZONES, date_of, offset_ms
from agents.simulation.clocktext import instant_text
from agents.simulation.fates import CAUSES, FAR_DAY, Fates, Outcome

DAY_MS: Final = 86_400_000
MINUTE_MS: Final = 60_000
FAR_MS: Final = FAR_DAY * DAY_MS


def midnight_ms(accounts: Accounts, account: int, day: int) -> int:
    """Return the instant at which a local day begins for an account, ``FAR_MS`` if it never comes."""
    if day >= FAR_DAY:
        return FAR_MS
    return day * DAY_MS - offset_ms(ZONES[int(accounts.zone[account])].name, day)


def stop_ms(accounts: Accounts, fates: Fates, account: int) -> int:
    """Return the instant from which an account has no events any more, ``FAR_MS`` if it stays."""
    midnight = midnight_ms(accounts, account, int(fates.stops_on[account]))
    return midnight if midnight >= FAR_MS else midnight + int(fates.stops_at_minute[account]) * MINUTE_MS


def truth_of(accounts: Accounts, fates: Fates, account: int, start_ms: int, end_ms: int) -> dict[str, Any]:
    """Return the truth of one account within ``[start_ms, end_ms)``.

    ``healthy`` holds half-open intervals in which silence means nothing bad (rests, seasons and leave
    included), ``pauses`` those in which nobody uses the product before it is taken up again.
    """
    stops = stop_ms(accounts, fates, account)
    fades = midnight_ms(accounts, account, int(fates.fades_from[account]))
    began = midnight_ms(accounts, account, int(accounts.began[account]))
    pauses = _pauses(accounts, fates, account, start_ms, min(stops, end_ms))
    outcome = Outcome(int(fates.outcome[account]))
    seen = outcome is Outcome.NEVER_STARTS or min(stops, fades) < end_ms
    healthy_to = began if outcome is Outcome.NEVER_STARTS else min(fades, stops, end_ms)
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


def _without(begin: int, end: int, gaps: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return ``[begin, end)`` less the gaps."""
    pieces = []
    for gap_begin, gap_end in gaps:
        pieces.append((begin, min(gap_begin, end)))
        begin = max(begin, gap_end)
    return [(a, b) for a, b in [*pieces, (begin, end)] if a < b]


def _texts(intervals: list[tuple[int, int]]) -> list[list[str]]:
    return [[instant_text(begin), instant_text(end)] for begin, end in intervals]
