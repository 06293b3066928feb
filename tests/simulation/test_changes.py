"""What changes in accounts that go on: each kind really occurs, and shows in the events as the truth says."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest

from agents.simulation import Company, Rates
from agents.simulation.calendars import offset_ms
from agents.simulation.pages import FEATURES
from schemas.topics import Input
from tests.simulation.conftest import DAY_MS, START_MS, active_days_of, span, told_by

if TYPE_CHECKING:
    from agents.simulation import SimulatedEvent
    from tests.simulation.conftest import Told

Truths = dict[str, dict[str, Any]]
WEEKS_4: Final = 28 * DAY_MS
KEY_FEATURES: Final = {"reports", "automation", "integrations"}


def at_ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def changes(truths: Truths, what: str) -> dict[str, dict[str, Any]]:
    """Return the changes of one kind, by account."""
    return {
        name: change
        for name, truth in truths.items()
        for change in truth["changes"]
        if change["what"] == what
    }


def finished(truths: Truths, what: str, alone: tuple[str, ...] = ()) -> dict[str, tuple[int, int]]:
    """Return begin and end of changes of one kind that lie eight weeks within the life of an account.

    Accounts that fade, or to which one of ``alone`` happens too, are left out.
    """
    found = {}
    for name, change in changes(truths, what).items():
        truth = truths[name]
        others = {other["what"] for other in truth["changes"]} & set(alone)
        if change["until"] is None or truth["fades_from"] or others:
            continue
        begin, end = at_ms(change["from"]), at_ms(change["until"])
        life_end = at_ms(truth["stops_at"]) if truth["stops_at"] else START_MS + 400 * DAY_MS
        if begin > START_MS + 2 * WEEKS_4 and end < life_end - 2 * WEEKS_4:
            found[name] = (begin, end)
    return found


@pytest.fixture(scope="module")
def company() -> Company:
    """Few of its accounts leave, much changes in them."""
    changing = {f"{what}_per_year": 0.4 for what in ("declining", "cutting", "growing", "looking")}
    rates = Rates(leaving_per_year=0.2, pausing_per_year=0.0, **changing)
    return Company(span(seed=12, volume=0.1, rates=rates))


@pytest.fixture(scope="module")
def events(company: Company) -> list[SimulatedEvent]:
    return list(company)


@pytest.fixture(scope="module")
def told(events: list[SimulatedEvent]) -> Told:
    return told_by(events)


@pytest.fixture(scope="module")
def truths(company: Company) -> Truths:
    return {str(truth["account_id"]): truth for truth in company.truth()}


@pytest.fixture(scope="module")
def active_days(company: Company, events: list[SimulatedEvent]) -> dict[str, list[int]]:
    return active_days_of(company, events)


def users(told: Told, name: str, begin_ms: int, end_ms: int) -> set[str]:
    """Return the users of an account who logged in within an interval."""
    return {
        members["user_id"]
        for account, at, members in told[Input.LOGINS]
        if account == name and begin_ms <= at < end_ms
    }


@pytest.mark.parametrize(
    "what",
    [
        "declines",
        "users_leave",
        "users_join",
        "considers_upgrade",
        "has_trouble",
        "moves",
        "becomes_customer",
    ],
)
def test_it_happens_to_some_accounts_and_by_far_not_to_all(what: str, truths: Truths) -> None:
    assert 3 <= len(changes(truths, what)) < len(truths) / 2


def test_of_a_team_that_leaves_the_first_user_stays(told: Told, truths: Truths) -> None:
    happened = finished(truths, "users_leave", ("declines", "users_join"))
    before, after = 0, 0
    for name, (begin, end) in happened.items():
        before += len(users(told, name, begin - 2 * WEEKS_4, begin))
        left = users(told, name, end, end + 2 * WEEKS_4)
        after += len(left)
        assert left <= users(told, name, START_MS, end) | {f"{name}.u0"} | {
            u for u in left if u.endswith("b")
        }
    assert len(happened) >= 5
    assert after < 0.7 * before


def test_a_new_team_are_new_users_and_seats_that_were_bought(told: Told, truths: Truths) -> None:
    happened = finished(truths, "users_join", ("users_leave",))
    seats = defaultdict(list)
    for name, at, members in told[Input.ACCOUNT_FACTS]:
        if "seats" in members["facts"]:
            seats[name].append((at, members["facts"]["seats"]))
    newcomers = 0
    for name, (begin, end) in happened.items():
        known = users(told, name, START_MS, begin)
        newcomers += len(users(told, name, end, end + 2 * WEEKS_4) - known)
        older, newer = ([n for at, n in seats[name] if (at < begin) is early] for early in (True, False))
        assert newer[0] == older[-1] + changes(truths, "users_join")[name]["users"]
    assert len(happened) >= 5
    assert newcomers >= 2 * len(happened)


def test_a_decline_is_slow_and_leaves_some_use(active_days: dict[str, list[int]], truths: Truths) -> None:
    happened = finished(truths, "declines", ("users_leave", "users_join"))
    rates = []
    for name, (begin, end) in happened.items():
        days = np.array(active_days.get(name, [])) * DAY_MS
        rates.append(
            [int(((days >= a) & (days < a + 2 * WEEKS_4)).sum()) for a in (begin - 2 * WEEKS_4, end)]
        )
    before, after = np.array(rates).sum(axis=0)
    assert len(happened) >= 4
    assert 0 < after < 0.8 * before


def test_an_account_that_moves_works_in_the_hours_of_its_new_zone(
    company: Company, told: Told, truths: Truths
) -> None:
    moves = changes(truths, "moves")
    number = {name: n for n, name in enumerate(company.accounts.ids)}
    hours: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for name, at, _ in told[Input.LOGINS]:
        if name in moves and truths[name]["archetype"] not in {"shift_crew", "operations", "integration"}:
            moved = at >= at_ms(moves[name]["from"])
            zone = moves[name]["time_zone"] if moved else truths[name]["time_zone"]
            hours[name, moved].append((at + offset_ms(zone, at // DAY_MS)) % DAY_MS / 3_600_000)
    zones: dict[str, list[str]] = {name: [] for name in moves}
    for name, _, members in told[Input.ACCOUNT_FACTS]:
        if name in moves and "time_zone" in members["facts"]:
            zones[name].append(members["facts"]["time_zone"])
    both = [name for name in moves if min(len(hours[name, False]), len(hours[name, True])) >= 10]
    assert len(both) >= 3
    for name in both:
        before, after = (float(np.median(hours[name, moved])) for moved in (False, True))
        assert 7 < before < 17
        assert abs(after - before) < 2
    late = [name for name in moves if at_ms(moves[name]["from"]) > START_MS + 390 * DAY_MS]
    for name in moves.keys() - late:
        assert company.accounts.moves_on[number[name]] > company.first_day
        assert zones[name] == [truths[name]["time_zone"], moves[name]["time_zone"]]


def test_upgrades_are_looked_at_when_they_are_considered_and_only_then(told: Told, truths: Truths) -> None:
    considered = changes(truths, "considers_upgrade")
    looks: Counter[str] = Counter()
    for name, at, members in told[Input.PAGE_VISITS]:
        if members.get("path") == "/upgrade":
            change = considered[name]
            assert at_ms(change["from"]) <= at < at_ms(change["until"] or "2100-01-01T00:00Z") + DAY_MS
            looks[name] += 1
    assert len(looks) > len(considered) / 2
    assert max(looks.values()) >= 3
    assert {change["buys"] for change in considered.values()} == {True, False}


def test_a_trial_is_billed_only_after_it_became_a_customer(told: Told, truths: Truths) -> None:
    became = {name: at_ms(change["from"]) for name, change in changes(truths, "becomes_customer").items()}
    first_bill: dict[str, int] = {}
    for name, at, _ in told[Input.PAYMENTS]:
        first_bill.setdefault(name, at)
    kinds = defaultdict(list)
    for name, _, members in told[Input.ACCOUNT_FACTS]:
        if "kind" in members["facts"]:
            kinds[name].append(members["facts"]["kind"])
    assert all(first_bill[name] >= at for name, at in became.items() if name in first_bill)
    assert len(first_bill.keys() & became.keys()) >= 3
    assert all(kinds[name] == ["trial", "customer"] for name in became)
    others = {
        name for name, truth in truths.items() if truth["kind"] in {"trial", "internal"}
    } - became.keys()
    assert not others & first_bill.keys()


def test_users_leave_and_have_successors_where_nothing_else_happens(told: Told, truths: Truths) -> None:
    calm = {name for name, truth in truths.items() if truth["outcome"] == "stays" and not truth["changes"]}
    last: dict[str, int] = {}
    for name, at, members in told[Input.LOGINS]:
        if name in calm:
            last[members["user_id"]] = at
    gone = [user for user, at in last.items() if at < START_MS + 250 * DAY_MS]
    assert 5 < len(gone) < len(last) / 3
    assert any(user.endswith("b") for user in last)


def test_key_features_are_told_by_path_by_name_and_by_both(told: Told) -> None:
    ways = Counter(
        ("path" in members, members.get("feature") in KEY_FEATURES)
        for _, _, members in told[Input.PAGE_VISITS]
        if members.get("feature") in KEY_FEATURES or members.get("path", "").startswith("/app/reports")
    )
    assert min(ways[True, False], ways[False, True], ways[True, True]) > 200


def test_features_are_found_one_after_another(company: Company, told: Told) -> None:
    accounts = company.accounts
    number = {name: n for n, name in enumerate(accounts.ids)}
    after_days: list[int] = []
    seen: set[tuple[str, str]] = set()
    for name, at, members in told[Input.PAGE_VISITS]:
        feature = members.get("feature")
        if feature and (name, feature) not in seen:
            seen.add((name, feature))
            found = accounts.adopted[number[name], FEATURES.index(feature)]
            assert (at + 14 * 3_600_000) // DAY_MS >= found, "nobody uses what was not found yet"
            after_days.append(int(found - accounts.began[number[name]]))
    assert min(sum(days < 14 for days in after_days), sum(days > 60 for days in after_days)) > 100
