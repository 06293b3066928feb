"""What components measure of one account at one instant, in integers."""

from __future__ import annotations

from fractions import Fraction
from math import floor, log
from typing import TYPE_CHECKING, NamedTuple

from schemas.catalogue import SOURCE_BY_NAME, Signal
from tests.auditor.days import start_of_day
from tests.auditor.exact import HOUR_MS, half_up
from tests.auditor.facts import thousandths
from tests.auditor.history import week_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.auditor.history import History
    from tests.auditor.settings import Component

RATIO_MAX = 1_000_000
SUM_MAX = 10**15
BUCKETS, USERS_MAX = 128, 710


class Moment(NamedTuple):
    """An account at an instant."""

    history: History
    now_ms: int
    day: int
    zone: str

    @property
    def age_days(self) -> int:
        assert self.history.first_day is not None
        return self.day - self.history.first_day + 1

    def total(self, source: str, window: int, back: int = 0) -> int:
        """Return the count of a window of days that ends today, or some days back."""
        last = self.day - back
        return self.history.total(source, last - window + 1, last)


Metric = int | str | None


def measure(component: Component, at: Moment) -> Metric:
    """Return a component's metric in its integer units, a category, or None if it is missing."""
    return MEASURES[component.feature](component, at)


def users(window: int, at: Moment) -> int:
    """Return about how many distinct users were active in a window of days."""
    marked = at.history.buckets_since(at.day - window + 1)
    return USERS_MAX if marked == BUCKETS else floor(-BUCKETS * log(1 - marked / BUCKETS) + 0.5)


def _is_young(component: Component, at: Moment) -> bool:
    """Tell whether no event in the window would say nothing yet."""
    signal = SOURCE_BY_NAME[component.source or ""].signal
    return signal is Signal.VOLUME and at.age_days < component.window


def _count(component: Component, at: Moment) -> Metric:
    return None if _is_young(component, at) else at.total(component.source or "", component.window)


def _active_days(component: Component, at: Moment) -> Metric:
    if at.age_days < component.window:
        return None
    days = range(at.day - component.window + 1, at.day + 1)
    return sum(at.history.on_day(component.source or "", day) > 0 for day in days)


def _ratio(component: Component, at: Moment) -> Metric:
    source, window, lag = component.source or "", component.window, component.lag
    if at.age_days < window + lag or source not in at.history.last_day:
        return None
    now, then = at.total(source, window), at.total(source, lag, back=window)
    if then == 0:
        return RATIO_MAX if now > 0 else 0
    return min(half_up(Fraction(1000 * now * lag, then * window)), RATIO_MAX)


def _since_last(component: Component, at: Moment) -> Metric:
    last_day = at.history.last_day.get(component.source or "")
    return None if last_day is None else at.day - last_day


def _rhythm(_: Component, at: Moment) -> Metric:
    if not at.history.active:
        return None
    return min(floor(1000 * _silent_units(at) / at.history.usual_gap() + 0.5), RATIO_MAX)


def _silent_units(at: Moment) -> int:
    """Return the units since the last activity, by hours those until the day began."""
    settings = at.history.settings.rhythm
    if settings.is_hourly:
        begun_ms = start_of_day(at.zone, at.day)
        return max(0, begun_ms // HOUR_MS - at.history.last_active_ms // HOUR_MS)
    return settings.number_of(at.day) - settings.number_of(at.history.last_active_day)


def _fact(component: Component, at: Moment) -> Metric:
    value = at.history.readable_fact(component.source or "", at.now_ms)
    if value is None:
        return None
    if component.curve == "table":
        return str(value) if value in component.table else None
    return thousandths(value)


def _decayed(component: Component, at: Moment) -> Metric:
    if _is_young(component, at):
        return None
    weighted = sum(
        floor(65_536 * 2 ** (-k / component.half_life) + 0.5)
        * at.history.on_day(component.source or "", at.day - k)
        for k in range(component.window)
    )
    return half_up(Fraction(1000 * weighted, 65_536))


def _sum(component: Component, at: Moment) -> Metric:
    if _is_young(component, at) or at.history.currency is None:
        return None
    first = at.day - component.window + 1
    return min(at.history.amount(component.source or "", first, at.day), SUM_MAX)


def _users(component: Component, at: Moment) -> Metric:
    if at.age_days < component.window or not at.history.has_users:
        return None
    return users(component.window, at)


def _user_share(component: Component, at: Moment) -> Metric:
    if at.age_days < component.window or not at.history.has_users:
        return None
    recent = users(component.window, at)
    seats = at.history.readable_fact("seats", at.now_ms)
    if seats is not None and thousandths(seats) >= 1000:
        return min(half_up(Fraction(10**6 * recent, thousandths(seats))), RATIO_MAX)
    base = users(component.of_days, at)
    if at.age_days < component.of_days or base == 0:
        return None
    return min(half_up(Fraction(1000 * recent, base)), RATIO_MAX)


def _open_tickets(_: Component, at: Moment) -> Metric:
    return sum(slot.is_open(at.now_ms) for slot in at.history.tickets.values())


def _late_payments(_: Component, at: Moment) -> Metric:
    return sum(slot.is_late(at.now_ms) for slot in at.history.payments.values())


def _mean(component: Component, at: Moment) -> Metric:
    week = week_of(at.day)
    total, number = at.history.mean_of(component.source or "", week - component.window // 7 + 1, week)
    return None if number == 0 else half_up(Fraction(1000 * total, number))


def _key_features(component: Component, at: Moment) -> Metric:
    names = at.history.settings.key_features
    if at.age_days < component.window or not names:
        return None
    used = sum(max(at.history.used[name], default=0) > at.day - component.window for name in names)
    return half_up(Fraction(1000 * used, len(names)))


def _first_use(_: Component, at: Moment) -> Metric:
    names = at.history.settings.key_features
    if not names:
        return None
    start = at.history.start_day(at.now_ms)
    days = sum(max(0, min(at.history.used[name], default=at.day) - start) for name in names)
    return half_up(Fraction(1000 * days, len(names)))


MEASURES: dict[str, Callable[[Component, Moment], Metric]] = {
    "count": _count,
    "active_days": _active_days,
    "ratio": _ratio,
    "since_last": _since_last,
    "rhythm": _rhythm,
    "fact": _fact,
    "decayed": _decayed,
    "sum": _sum,
    "users": _users,
    "user_share": _user_share,
    "open_tickets": _open_tickets,
    "late_payments": _late_payments,
    "mean": _mean,
    "key_features": _key_features,
    "first_use": _first_use,
}
