"""Instants at which time alone may change what a rule or a metric finds, beside midnights and ends of facts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.reasons import Rule
from tests.auditor.rules_silence import silent_hours_end_ms
from tests.auditor.rules_trouble import risk_quiet_ms, risk_visits, trouble_ms, unresolved_from_ms
from tests.auditor.slots import DUE, FAILED, FORGOTTEN_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.auditor.banddrop import BandDrop
    from tests.auditor.history import History


def ends(history: History, drop: BandDrop) -> Iterator[int]:
    """Return them all, past ones among them."""
    yield from _of_silence(history)
    yield from _of_risk(history)
    yield from _of_payments(history)
    yield from _of_tickets(history)
    if Rule.BAND_DROP in history.settings.rules and drop.fallen_from is not None:
        yield drop.over_at_ms


def _of_silence(history: History) -> Iterator[int]:
    rule = history.settings.rules.get(Rule.SILENCE)
    if rule is not None and history.settings.rhythm.is_hourly and history.active:
        yield silent_hours_end_ms(rule, history)


def _of_risk(history: History) -> Iterator[int]:
    rule = history.settings.rules.get(Rule.RISK_PAGE)
    visits = risk_visits(rule, history) if rule is not None else None
    if rule is not None and visits is not None:
        yield visits.last_ms + risk_quiet_ms(rule)


def _of_payments(history: History) -> Iterator[int]:
    """Due instants, both ends of trouble, and the end of lateness where a model reads it."""
    rule = history.settings.rules.get(Rule.PAYMENT_TROUBLE)
    is_read = history.settings.reads("late_payments")
    for slot in history.payments.values() if is_read or rule is not None else ():
        if slot.state == DUE:
            yield slot.at_ms
        if rule is not None:
            yield from trouble_ms(rule, slot) or ()
        if is_read and slot.state in {DUE, FAILED}:
            yield slot.at_ms + FORGOTTEN_MS


def _of_tickets(history: History) -> Iterator[int]:
    """The end of being open, and from when a ticket is unresolved for too long."""
    rule = history.settings.rules.get(Rule.TICKET_TROUBLE)
    is_read = history.settings.reads("open_tickets")
    for slot in history.tickets.values() if is_read or rule is not None else ():
        if not slot.is_done:
            yield slot.at_ms + FORGOTTEN_MS
            if rule is not None:
                yield unresolved_from_ms(rule, slot)
