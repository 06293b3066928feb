"""The auditor on one record and on the order of many: dead letters, notes, repeats, merge, clock, halts, days."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

from schemas.topics import Input
from streams.murmur import murmur2 as core_murmur2
from tests.auditor.days import local_day, start_of_day
from tests.auditor.event import Recorded, decode
from tests.auditor.exact import half_up, murmur2, rfc3339
from tests.auditor.partition import GENERATION_MAX, Memory, keyed_events
from tests.auditor.reference import Audit, audit, audit_file
from tests.auditor.scenarios import (
    DEFAULT_POLICY,
    NPS,
    alerts,
    at,
    component,
    facts,
    login,
    model,
    only,
    payment,
    records,
    run,
    shown,
    ticket,
    visit,
)
from tests.auditor.settings import read_settings
from tests.auditor.wire import instant_ms

if TYPE_CHECKING:
    from pathlib import Path

DAY_MS = 86_400_000
RISK = {
    "severity": "info",
    "repeated_severity": "warning",
    "quiet_days": 14,
    "repeat_after_min": 30,
    "refractory_days": 7,
}
GOOD = {"event_id": "e", "account_id": "acme", "occurred_at": 1_767_225_600_000}


# --- how these tests are told ------------------------------------------------------------------------------------


def sent(**changes: Any) -> bytes:
    """Return the value of a good record with some of its fields replaced."""
    return json.dumps(GOOD | changes).encode()


def judged(
    rows: list[Recorded], *, keyed: bool = False, partitions: int = 1, until: str | None = None
) -> Audit:
    return audit(
        rows,
        policy=only(risk_page=RISK),
        models={"test": NPS},
        partitions=partitions,
        until_ms=None if until is None else at(until),
        keyed=keyed,
    )


def outcome(
    value: bytes | None,
    source: Input = Input.LOGINS,
    *,
    key: bytes | None = b"acme",
    partition: int = 0,
    partitions: int = 1,
) -> str:
    """Return the reject reason of one record of a topic, or that it is accepted."""
    result = judged([Recorded(source, partition, 0, key, value, -1)], keyed=True, partitions=partitions)
    return result.dead_letters[0][3] if result.dead_letters else "accepted"


# --- one record --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty_value"),
        (b"", "empty_value"),
        (b"[" + b" " * 1_048_576, "value_too_large"),
        (b" " * (1_048_576 - len(sent())) + sent(), "accepted"),
        (b"{", "not_json"),
        (sent() + b"x", "not_json"),
        (sent()[:-1] + b', "x": "\xff"}', "not_json"),
        (sent()[:-1] + b', "x": NaN}', "not_json"),
        (sent()[:-1] + b', "x": "\\ud800"}', "not_json"),
        (sent()[:-1] + b', "x": "\\ud800 \\n"}', "not_json"),
        (sent()[:-1] + b', "x": "\\ud83d\\ude00"}', "accepted"),
        (b"\xef\xbb\xbf" + sent(), "not_json"),
        (b"[]", "wrong_type"),
        (b'{"event_id": "e", "account_id": "acme"}', "wrong_type"),
        (sent(event_id=7), "wrong_type"),
        (sent(success=1), "wrong_type"),
        (sent(method=None), "wrong_type"),
        (sent(user_id=None), "accepted"),
        (sent(unknown={"a": [1]}), "accepted"),
        (sent(event_id=7)[:-1] + b', "event_id": "e"}', "wrong_type"),
        (sent(event_id="d")[:-1] + b', "event_id": "e"}', "accepted"),
        (sent(occurred_at="2026-01-01T00:00:00"), "wrong_type"),
        (sent(occurred_at=1.0), "wrong_type"),
        (sent(occurred_at=True), "wrong_type"),
        (sent(occurred_at=1 << 63), "wrong_type"),
        (sent(account_id=""), "bad_account_id"),
        (sent(account_id="é" * 129), "bad_account_id"),
        (sent(account_id="a\x1fb"), "bad_account_id"),
        (sent(account_id="acme2"), "key_mismatch"),
        (sent(occurred_at=1_767_225_600), "implausible_time"),
        (sent(occurred_at="1989-12-31T23:59:59.999Z"), "implausible_time"),
        (sent(occurred_at="1990-01-01T00:00:00Z"), "accepted"),
        (sent(occurred_at="2099-12-31T23:59:59.999Z"), "accepted"),
        (sent(occurred_at="2100-01-01T00:00:00Z"), "implausible_time"),
    ],
)
def test_a_record_has_the_first_reason_that_holds(value: bytes | None, reason: str) -> None:
    assert outcome(value) == reason


@pytest.mark.parametrize(
    ("source", "fields", "reason"),
    [
        (Input.TICKETS, {"action": "opened"}, "wrong_type"),
        (Input.TICKETS, {"ticket_id": "T", "action": "x", "csat": 5, "tags": ["a"]}, "accepted"),
        (Input.TICKETS, {"ticket_id": "T", "action": "x", "csat": 0}, "wrong_type"),
        (Input.TICKETS, {"ticket_id": "T", "action": "x", "csat": 6}, "wrong_type"),
        (Input.TICKETS, {"ticket_id": "T", "action": "x", "csat": True}, "wrong_type"),
        (Input.TICKETS, {"ticket_id": "T", "action": "x", "tags": None}, "wrong_type"),
        (Input.PAYMENTS, {"payment_id": "P", "status": "due", "amount_minor": 5.0}, "wrong_type"),
        (
            Input.PAYMENTS,
            {"payment_id": "P", "status": "due", "due_at": "2026-01-01T00:00:00+01:00"},
            "accepted",
        ),
        (Input.ACCOUNT_FACTS, {}, "wrong_type"),
        (Input.ACCOUNT_FACTS, {"facts": {"a": 1, "b": 1.5, "c": True, "d": None, "e": "x"}}, "accepted"),
        (Input.ACCOUNT_FACTS, {"facts": {"a": [1]}}, "wrong_type"),
        (Input.ACCOUNT_FACTS, {"facts": {}, "expires_at": "soon"}, "wrong_type"),
        (Input.PAGE_VISITS, {"duration_ms": 1.5}, "wrong_type"),
    ],
)
def test_fields_have_the_types_of_the_contracts(source: Input, fields: dict[str, Any], reason: str) -> None:
    assert outcome(sent(**fields), source) == reason


def test_keys_are_checked_before_the_time() -> None:
    too_early = sent(occurred_at=0)
    assert outcome(too_early, key=None) == "key_missing"
    assert outcome(too_early, key=b"") == "key_mismatch"
    assert outcome(too_early) == "implausible_time"


def test_a_new_account_belongs_to_the_partition_of_its_hash() -> None:
    own = (murmur2(b"acme") & 0x7FFF_FFFF) % 2
    assert outcome(sent(), partition=own, partitions=2) == "accepted"
    assert outcome(sent(), partition=1 - own, partitions=2) == "wrong_partition"
    assert outcome(sent(occurred_at=0), partition=1 - own, partitions=2) == "implausible_time"


# the vectors of Kafka's own tests, as signed 32-bit numbers
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_accounts_are_spread_as_producers_spread_them(key: bytes, signed: int) -> None:
    assert murmur2(key) == core_murmur2(key) == signed & 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000Z"),
        ("2026-01-02 03:04:05.678z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02t03:04:05.6789999Z", "2026-01-02T03:04:05.678Z"),
        ("2026-01-02T03:04:05.9999999Z", "2026-01-02T03:04:05.999Z"),
        ("2026-01-02T03:04:05+01:30", "2026-01-02T01:34:05.000Z"),
        ("2026-01-02T03:04:05-0100", "2026-01-02T04:04:05.000Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
        ("2026-01-02", None),
        ("2026-01-02T03:04Z", None),
        ("2026-01-02T24:00:00Z", None),
        ("2026-01-02T23:59:60Z", None),
        ("2026-02-29T00:00:00Z", None),
        ("2026-01-02T03:04:05+24:00", None),
        ("2026-01-02T03:04:05.Z", None),
        ("2026-01-02T03:04:05,5Z", None),
        (" 2026-01-02T03:04:05Z", None),
        ("\uff12026-01-02T03:04:05Z", None),
    ],
)
def test_instants_are_rfc_3339_cut_to_milliseconds(text: str, instant: str | None) -> None:
    found = instant_ms(text)
    assert (None if found is None else rfc3339(found)) == instant


@pytest.mark.parametrize(
    ("n", "d", "rounded"), [(1, 2, 1), (-1, 2, 0), (3, 2, 2), (-3, 2, -1), (1, 3, 0), (2, 3, 1)]
)
def test_a_half_goes_up(n: int, d: int, rounded: int) -> None:
    assert half_up(Fraction(n, d)) == rounded == (2 * n + d) // (2 * d)


# --- the future --------------------------------------------------------------------------------------------------


#   received 10:00    10:05:00.000 is believed    10:05:00.001 is set back to 10:00
def test_an_event_ahead_of_its_record_is_set_back_to_it() -> None:
    received = at("2026-01-01 10:00")
    believed = run([facts(received + 300_000, nps=60) | {"received_at": received}])
    assert believed.notes == {}
    assert believed.score_changes[0]["effective_at"] == shown("2026-01-01 10:05")
    ahead = run([facts(received + 300_001, nps=60) | {"received_at": received}])
    assert ahead.notes == {"future_clamped": 1}
    assert ahead.score_changes[0]["effective_at"] == shown("2026-01-01 10:00")


# a file without `received_at`
#
#   tickets   1 Jan 10:00
#   log-ins                 3 Jan 10:00
#   visits                                4 Jan 10:00, a day beyond: believed     later: set back to 3 Jan 10:00
def test_in_an_undated_file_an_event_more_than_a_day_beyond_the_other_inputs_is_set_back() -> None:
    others = [login("2026-01-03 10:00"), ticket("2026-01-01 10:00", "opened")]
    policy = only(risk_page=RISK)
    edge = at("2026-01-04 10:00")
    assert run([*others, visit(edge, "/cancel")], policy=policy).notes == {}
    beyond = run([*others, visit(edge + 1, "/cancel")], policy=policy)
    assert beyond.notes == {"future_clamped": 1}
    assert alerts(beyond)[0][0] == shown("2026-01-03 10:00")
    alone = run([visit("2050-01-01 10:00", "/cancel")], policy=policy)
    assert alerts(alone)[0][0] == shown("2050-01-01 10:00")


# --- repeats -----------------------------------------------------------------------------------------------------


#   1 Jan 23:59     2 Jan 00:01      3 Jan 00:01
#   id x: taken     x: remembered    x: the 2nd is the former generation now, the 1st is forgotten: taken again
def test_an_id_is_remembered_for_the_day_and_the_day_after() -> None:
    times = ["2026-01-01 23:59", "2026-01-02 00:01", "2026-01-03 00:01"]
    result = run([login(when, event_id="x") for when in times])
    assert result.notes == {"duplicate": 1}
    assert result.final["acme"]["gaps"] == 1  # from the 1st to the 3rd


#   1 Jan 10:00    3 Jan 10:00
#   id x: taken    a day was skipped, x was forgotten with it: taken
def test_ids_are_forgotten_after_a_day_without_events() -> None:
    assert run([login(when, event_id="x") for when in ("2026-01-01 10:00", "2026-01-03 10:00")]).notes == {}


#   1 Jan x   2 Jan y   3 Jan z   then late, both judged on the 3rd:   1 Jan x: forgotten   2 Jan y: remembered
def test_late_repeats_are_judged_by_the_day_of_the_largest_key() -> None:
    days_and_ids = [(1, "x"), (2, "y"), (3, "z"), (1, "x"), (2, "y")]
    result = run([login(f"2026-01-0{day} 10:00", event_id=event_id) for day, event_id in days_and_ids])
    assert result.notes["duplicate"] == 1


def test_ids_are_those_of_one_input() -> None:
    result = run([login("2026-01-01 10:00", event_id="x"), visit("2026-01-01 10:00", "/x", event_id="x")])
    assert result.notes == {}


#   a: P1 failed 10:00   b: the same again: a repeat, and its id is not remembered
#   c: P1 succeeded      d: P1 failed 10:01      b: P2 failed: no repeat of anything that was taken
def test_natural_keys_tell_a_repeat_under_another_id() -> None:
    payments = [
        payment("2026-01-01 10:00", "failed", event_id="a"),
        payment("2026-01-01 10:00", "failed", event_id="b"),
        payment("2026-01-01 10:00", "succeeded", event_id="c"),
        payment("2026-01-01 10:01", "failed", event_id="d"),
        payment("2026-01-01 10:01", "failed", event_id="b", payment_id="P2"),
    ]
    assert run(payments).notes == {"duplicate": 1}
    assert run([ticket("2026-01-01 10:00", "opened")] * 2).notes == {"duplicate": 1}


def test_a_full_generation_becomes_the_former_one_before_the_next_event_is_judged() -> None:
    memory = Memory()
    for number in range(2 * GENERATION_MAX):
        memory.begin(1)
        memory.add(number)
    assert memory.knows(0)
    memory.begin(1)
    assert not memory.knows(0)
    assert memory.knows(GENERATION_MAX)
    memory.begin(2)
    assert not memory.knows(GENERATION_MAX)


# --- order and clock ---------------------------------------------------------------------------------------------


# all at 10:00, written in the wrong order: facts come first, so the visit finds its owner
def test_at_one_instant_the_rank_of_the_input_decides() -> None:
    events = [
        visit("2026-01-01 10:00", "/cancel"),
        login("2026-01-01 10:00"),
        facts("2026-01-01 10:00", owner="Ana"),
    ]
    assert run(events, policy=only(risk_page=RISK)).disengagements[0]["owner"] == "Ana"


#   log-ins   10   5 (late, its key is 10)   12
#   visits    7
#   order     7, 10, 5, 12
def test_a_late_record_keeps_its_place_in_its_input() -> None:
    start = at("2026-01-01 00:00")
    settings = read_settings(only(), {"test": NPS})
    logins, visits = [login(start + ms) for ms in (10, 5, 12)], [visit(start + 7, "/x")]
    lanes = [[decode(r, settings, 1, keyed=False) for r in records(lane)] for lane in (logins, visits)]
    merged = sorted((pair for lane in lanes for pair in keyed_events(lane)), key=lambda pair: pair[0])
    order = [(int(key.time_ms) - start, happened.time_ms - start) for key, happened in merged]
    assert order == [(7, 7), (10, 10), (10, 5), (12, 12)]


#   1 Jan 10:00       15 Jan 10:00
#   /cancel: firing   quiet: resolved, if the clock comes so far
def test_time_ends_with_the_records_or_where_it_is_told_to() -> None:
    rows = records([visit("2026-01-01 10:00", "/cancel")])
    ends = [None, "2026-01-15 09:59:59", "2026-01-15 10:00", "2026-01-01 10:00", "2026-01-01 09:59"]
    assert [len(alerts(judged(rows, until=until))) for until in ends] == [1, 1, 2, 1, 0]


# another account moves the clock: 10:02 less the grace of two minutes is 10:00, the end of the quiet time
#
#   acme    1 Jan 10:00                                15 Jan 09:59, three minutes late
#   other                          15 Jan 10:02
#   alerts  firing                 resolved            firing anew (the refractory time ended on the 8th)
def test_the_clock_fires_what_is_due_in_accounts_that_are_silent() -> None:
    first, late = visit("2026-01-01 10:00", "/cancel"), visit("2026-01-15 09:59", "/cancel")
    other = visit("2026-01-15 10:02", "/x", account_id="other")
    result = run([first, other, late], policy=only(risk_page=RISK))
    assert [(when, status) for when, status, _, _ in alerts(result)] == [
        (shown("2026-01-01 10:00"), "firing"),
        (shown("2026-01-15 10:00"), "resolved"),
        (shown("2026-01-15 10:00"), "firing"),
    ]
    in_time = run([first, late, other], policy=only(risk_page=RISK))
    assert [status for _, status, _, _ in alerts(in_time)] == ["firing", "escalated"]


# count of log-ins in seven days, today 10 Jan: 4..10
#
#   1 Jan   10 Jan   then 4 Jan: counted, but older than the last active day   and 3 Jan: not kept
def test_late_events_count_where_a_window_still_reaches_them() -> None:
    metric = {"feature": "count", "source": "logins", "window_days": 7}
    events = [
        *(login(f"2026-01-{day:02d} 10:00") for day in (1, 10, 4, 3)),
        ticket("2026-01-10 11:00", "misplaced"),
    ]
    tree = model(component("it", metric=metric, ramp=[[0, 0], [100, 100]]))
    result = run(events, models=[tree])
    assert result.notes == {"late_for_rhythm": 2, "too_late": 1, "unknown_value": 1}
    assert result.final["acme"]["models"]["test"]["score"] == 2000  # two log-ins, two points
    assert result.final["acme"]["gaps"] == 1


# --- halts -------------------------------------------------------------------------------------------------------


def test_ninety_nine_rejects_in_a_row_halt_nothing() -> None:
    rows = [b"{"] * 99 + [sent()] + [b"{"] * 99 + [sent(event_id="f")]
    result = judged(records(rows, Input.LOGINS))
    assert len(result.dead_letters) == 198
    assert result.halts == []


#   log-ins          10:00   x 100    12:00: not taken
#   visits   9:00    10:00            11:00: not taken, as log-ins may hold something older
def test_the_hundredth_reject_in_a_row_halts_the_partition() -> None:
    start, hour = at("2026-01-01 10:00"), 3_600_000
    rows = [sent(occurred_at=start), *[b"{"] * 100, sent(event_id="f", occurred_at=start + 2 * hour)]
    visits = [visit(start + hours * hour, "/cancel") for hours in (-1, 0, 1)]
    result = judged(records(rows, Input.LOGINS) + records(visits), until="2026-03-01 00:00")
    assert result.dead_letters == [(Input.LOGINS, 0, offset, "not_json") for offset in range(1, 101)]
    assert result.halts == [(0, Input.LOGINS, 100)]
    assert [when for when, _, _, _ in alerts(result)] == [shown("2026-01-01 09:00")]
    assert result.final["acme"]["last_active_day"] == start // DAY_MS


# --- days --------------------------------------------------------------------------------------------------------


# Madrid      the 29th of March 2026 starts at 28 Mar 23:00Z and has 23 hours; 25 Oct has 25
# Beirut      29 Mar 2026 has no midnight: 00:00 is 01:00 at once, 22:00Z the day before
# Santiago    6 Sep 2026 has no midnight: 04:00Z
# Apia        30 Dec 2011 never was: both it and the 31st start at 10:00Z
@pytest.mark.parametrize(
    ("zone", "day", "start"),
    [
        ("UTC", "2026-01-02", "2026-01-02 00:00"),
        ("Europe/Madrid", "2026-03-29", "2026-03-28 23:00"),
        ("Europe/Madrid", "2026-03-30", "2026-03-29 22:00"),
        ("Europe/Madrid", "2026-10-25", "2026-10-24 22:00"),
        ("Europe/Madrid", "2026-10-26", "2026-10-25 23:00"),
        ("Asia/Beirut", "2026-03-29", "2026-03-28 22:00"),
        ("America/Santiago", "2026-09-06", "2026-09-06 04:00"),
        ("Pacific/Apia", "2011-12-30", "2011-12-30 10:00"),
        ("Pacific/Apia", "2011-12-31", "2011-12-30 10:00"),
    ],
)
def test_a_local_day_starts_at_the_first_instant_of_its_date(zone: str, day: str, start: str) -> None:
    number = at(f"{day} 00:00") // DAY_MS
    found = start_of_day(zone, number)
    assert found == at(start)
    assert local_day(zone, found) >= number > local_day(zone, found - 1)


# Madrid, cap of one day; 28 Mar 23:30Z is the 29th there (a day of 23 hours), so the cap is over when the 31st starts
#
#   28 Mar 23:30Z    29 Mar 22:00Z            30 Mar 22:00Z
#   log-in, 29th     the 30th: allowed        the 31st: firing
def test_silence_is_judged_at_the_local_midnight() -> None:
    rule = {"severity": "critical", "days": 1, "refractory_days": 7}
    policy = only(absolute_silence=rule) | {"time_zone": "Europe/Madrid"}
    result = run([login("2026-03-28 23:30")], policy=policy, until="2026-04-05 00:00")
    assert alerts(result) == [(shown("2026-03-30 22:00"), "firing", "critical", ["absolute_silence"])]


# --- a recorded file ---------------------------------------------------------------------------------------------


def test_a_recorded_file_is_routed_by_account_and_its_broken_lines_are_told(tmp_path: Path) -> None:
    lines = [
        json.dumps(login("2026-01-01 10:00", event_id="a")),
        "{",
        json.dumps({"type": "teapot", "account_id": "acme"}),
        json.dumps({"type": "login", "event_id": "b"}),
        "",
        json.dumps(login("2026-01-01 11:00", event_id="c", success="yes")),
        json.dumps(login("2026-01-01 12:00", event_id="d", received_at="2026-01-01T12:00:01Z")),
    ]
    path = tmp_path / "recorded.jsonl"
    path.write_text("\n".join(lines))
    result = audit_file(path, 4, None, DEFAULT_POLICY)
    own = (murmur2(b"acme") & 0x7FFF_FFFF) % 4
    assert result.dead_letters == [
        (None, 0, 2, "not_json"),
        (None, 0, 3, "wrong_type"),
        (None, 0, 4, "wrong_type"),
        (Input.LOGINS, own, 1, "wrong_type"),
    ]
    assert result.final["acme"]["partition"] == own
    assert result.score_changes[0]["new"]["band"] == "healthy"
