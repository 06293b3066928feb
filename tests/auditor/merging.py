"""How an account that a merge ends lives on, by section 11 of `docs/semantics.md`: in another one, or under another id."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, NamedTuple

from schemas.catalogue import SOURCE_BY_NAME
from schemas.reasons import EventNote, Rule
from tests.auditor import rhythm, slots
from tests.auditor.ends import SECONDS_TO_1990
from tests.auditor.episode import Held
from tests.auditor.event import OCCURRED_AT_END_MS
from tests.auditor.exact import HOUR_MS, identity
from tests.auditor.history import ACTIVE_DAYS_KEPT, RiskVisits, cap_of, week_of
from tests.auditor.rules_trouble import risk_quiet_ms, risk_visits

if TYPE_CHECKING:
    from tests.auditor.account import Account
    from tests.auditor.control import Muting
    from tests.auditor.history import History
    from tests.auditor.settings import Settings
    from tests.auditor.slots import Slots

ON_THE_WAY_MS = 60_000
KEPT_AS_TOLD = {"kind", "time_zone"}
"""Facts that stay those of who takes another one in."""


class Merge(NamedTuple):
    """`old` ends at an instant and is to live on in `new`."""

    at_ms: int
    old: str
    new: str


class Join(NamedTuple):
    """What was left of `old` comes to `new` at an instant, which is the one that it says if it does not come late."""

    at_ms: int
    said_ms: int
    key: str
    old: str
    new: str
    left: Account


def join_of(merge: Merge, left: Account, application: str) -> Join:
    """Return the join that a merge makes of what was left of an account."""
    settings = left.settings
    at_ms = min(
        merge.at_ms + settings.grace_ms + settings.future_skew_ms + ON_THE_WAY_MS, OCCURRED_AT_END_MS - 1
    )
    name = identity("join", application, merge.old, merge.new, merge.at_ms)
    return Join(at_ms, at_ms, f"join:{name}", merge.old, merge.new, left)


def copied(account: Account) -> Account:
    """Return an account as it is now, whatever becomes of it."""
    shared = (account.settings, account.muting)
    return deepcopy(account, {id(one): one for one in shared})


def renamed(join: Join, partition: int, muting: Muting) -> Account:
    """Return who was left under its new id, in a partition with its own muted intervals."""
    account = copied(join.left)
    account.account_id, account.partition, account.muting = join.new, partition, muting
    for standing in account.standings:
        standing.ordinal = max(standing.ordinal, join.at_ms // 1000 - SECONDS_TO_1990)
    for episode in account.episodes.values():
        if episode.open:
            episode.held = Held.QUIET if episode.held in {None, Held.QUIET} else Held.FIRING
    account.move_to(join.at_ms)
    return account


def take_in(account: Account, join: Join) -> set[EventNote]:
    """Let an account take in what was left of another one."""
    left = join.left
    today = account.move_to(join.at_ms)
    assert left.day is not None
    notes = _unite(account.history, left.history, today, left.day)
    account.last_event_day = max(account.last_event_day, min(left.last_event_day, today))
    for topic, episode in account.episodes.items():
        for rule, joined_at_ms in left.episodes[topic].joined_at_ms.items():
            if rule not in episode.open:
                episode.joined_at_ms[rule] = max(joined_at_ms, episode.joined_at_ms.get(rule, joined_at_ms))
    account.drop.begin_anew()
    return notes


def _unite(own: History, other: History, today: int, other_today: int) -> set[EventNote]:
    """Unite two histories; a day of the other one after today counts as today, and what it did not keep is not there."""
    notes = _add_amounts(own, other, today, other_today)
    _add_counts(own, other, today, other_today)
    _unite_rhythm(own, other, today, other_today)  # before the days of last activity are the later ones
    _unite_days(own, other, today)
    most = {"tickets": slots.TICKET_SLOTS, "payments": slots.PAYMENT_SLOTS}
    for name, number in most.items():
        _unite_slots(getattr(own, name), getattr(other, name), number)
    _unite_visits(own, other, own.settings)
    for fact in other.told.keys() - KEPT_AS_TOLD:
        newest = other.newest_telling(fact)
        if newest is not None:
            own.told[fact].insert(0, newest)
    return notes


def _add_counts(own: History, other: History, today: int, other_today: int) -> None:
    for source, kept in own.settings.counts_kept.items():
        for day, count in other.counts[source].items():
            if day > other_today - kept:
                own.counts[source][min(day, today)] += min(count, cap_of(SOURCE_BY_NAME[source]))
    for (name, week), values in other.measured.items():
        if week > week_of(other_today) - own.settings.weeks_kept.get(name, 0):
            own.measured[name, min(week, week_of(today))] += values


def _add_amounts(own: History, other: History, today: int, other_today: int) -> set[EventNote]:
    """Add sums of the account's currency, which is its own if it has one."""
    if other.currency is None:
        return set()
    own.currency = own.currency or other.currency
    if own.currency != other.currency:
        return {EventNote.AMOUNT_LEFT_OUT}
    for source, kept in own.settings.sums_kept.items():
        for day, amount in other.sums[source].items():
            if day > other_today - kept:
                own.sums[source][min(day, today)] += amount
    return set()


def _unite_rhythm(own: History, other: History, today: int, other_today: int) -> None:
    """Unite active days; gaps are those between them, or without such days those of who has more."""
    found = {day for day in own.active_days if day > today - ACTIVE_DAYS_KEPT}
    found |= {min(day, today) for day in other.active_days if day > other_today - ACTIVE_DAYS_KEPT}
    own.active_days = {day for day in found if day > today - ACTIVE_DAYS_KEPT}
    if not own.active and not other.active:
        return
    rhythms, settings = (own.rhythm(), other.rhythm()), own.settings
    last_active_day = max(own.last_active_day, min(other.last_active_day, today))
    own.rhythm_after = {}
    if settings.keeps_active_days and not settings.rhythm.is_hourly:
        own.rhythm_before, own.active = rhythm.NOTHING, sorted(own.active_days) or [last_active_day]
        return
    mine, theirs = rhythms
    own.rhythm_before = theirs if theirs.gaps > mine.gaps else mine
    last_hour = max(own.last_active_ms, other.last_active_ms) // HOUR_MS
    own.active = [last_hour if settings.rhythm.is_hourly else last_active_day]


def _unite_days(own: History, other: History, today: int) -> None:
    assert own.first_day is not None
    assert other.first_day is not None
    own.first_day = min(own.first_day, other.first_day, today)
    own.last_active_day = max(own.last_active_day, min(other.last_active_day, today))
    own.last_active_ms = max(own.last_active_ms, other.last_active_ms)
    for source, day in other.last_day.items():
        own.last_day[source] = max(min(day, today), own.last_day.get(source, min(day, today)))
    for name, days in other.used.items():
        own.used[name] += [min(day, today) for day in days]
    own.has_users |= other.has_users
    for bucket, day in other.seen.items():
        own.seen[bucket] = max(min(day, today), own.seen.get(bucket, 0))


def _unite_slots(own: Slots, other: Slots, most: int) -> None:
    for key, slot in other.items():
        if key not in own or slot.at_ms > own[key].at_ms:
            own[key] = slot
    while len(own) > most:
        slots.free(own)


def _unite_visits(own: History, other: History, settings: Settings) -> None:
    """Unite what is known of visits to risk pages: those of both if the last ones lie near each other."""
    rule = settings.rules.get(Rule.RISK_PAGE)
    if rule is None:
        return
    mine, theirs = risk_visits(rule, own), risk_visits(rule, other)
    own.visits = []
    if mine is None or theirs is None:
        own.visits_before = mine or theirs
    elif abs(mine.last_ms - theirs.last_ms) < risk_quiet_ms(rule):
        last_ms = max(mine.last_ms, theirs.last_ms)
        own.visits_before = RiskVisits(last_ms, mine.visits + theirs.visits, mine.admin or theirs.admin)
    else:
        own.visits_before = max(mine, theirs, key=lambda visits: visits.last_ms)
