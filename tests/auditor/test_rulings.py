"""What docs/semantics.md decides where a guess would be as good: a record by hand, and what becomes of it.

Each goes through the core and the auditor, which must say the same; the outcome is the one written here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agents.replay import replay_files
from schemas.topics import INPUT_TOPICS, Input
from tests.auditor.core import differences, program_of, run_core
from tests.auditor.event import Recorded
from tests.auditor.exact import partition_of
from tests.auditor.recorded_file import read_recorded
from tests.auditor.reference import Audit, audit
from tests.auditor.scenarios import (
    NPS,
    Tree,
    alerts,
    at,
    bands,
    component,
    default_policy,
    facts,
    login,
    model,
    only,
    payment,
    records,
    shown,
    visit,
)
from tests.auditor.test_kernel_agrees import assert_files_equal, lines

DAY_MS = 86_400_000
RISK = {"severity": "info", "repeated_severity": "warning", "quiet_days": 14, "refractory_days": 7}
ONE = 1_767_225_600_000
GOOD = b'{"event_id":"e","account_id":"acme","occurred_at":1767225600000%s}'


def both(
    rows: list[Recorded], policy: Tree | None = None, tree: Tree = NPS, until: str | None = None, **world: Any
) -> Audit:
    """Return what the core and the auditor say alike of records."""
    arguments: dict[str, Any] = {
        "policy": policy or only(risk_page=RISK),
        "models": {"test": tree},
        "partitions": 1,
        "until_ms": None if until is None else at(until),
        "keyed": True,
    } | world
    found = audit(rows, **arguments)
    assert differences(run_core(rows, **arguments), found) == []
    return found


def outcomes(*values: bytes | None, source: Input = Input.LOGINS) -> list[str]:
    """Return what becomes of the values of one chunk: a reason, or that it is accepted."""
    result = both([Recorded(source, 0, offset, b"acme", value, -1) for offset, value in enumerate(values)])
    reasons = {offset: reason for _, _, offset, reason in result.dead_letters}
    return [reasons.get(offset, "accepted") for offset in range(len(values))]


def keyed(rows: list[Recorded]) -> list[Recorded]:
    return [row._replace(key=json.loads(row.value or b"")["account_id"].encode()) for row in rows]


# --- one record --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", ['"x":1e400', '"received_at":-1e400', f'"x":[{"9" * 400}]', '"due_at":null'])
def test_an_instant_is_cut_beside_numbers_of_any_size_in_unknown_fields(more: str) -> None:
    value = '{"event_id":"e","account_id":"acme","occurred_at":"2026-01-02T03:04:05.9999999Z","facts":{"nps":90},%s}'
    result = both([Recorded(Input.ACCOUNT_FACTS, 0, 0, b"acme", (value % more).encode(), -1)])
    assert [change["effective_at"] for change in result.score_changes] == ["2026-01-02T03:04:05.999Z"]


@pytest.mark.parametrize(
    ("stamp_ms", "instant"),
    [
        (0, "1990-01-01T00:00:00.000Z"),
        (-(1 << 63), "2026-01-01T00:00:00.000Z"),
        ((1 << 63) - 1, "2026-01-01T00:00:00.000Z"),
    ],
)
def test_a_record_whose_clock_is_absurd_sets_no_event_beyond_what_is_plausible(
    stamp_ms: int, instant: str
) -> None:
    visited = b'{"event_id":"e","account_id":"acme","occurred_at":1767225600000,"path":"/cancel"}'
    opened = (
        b'{"event_id":"e","account_id":"acme","occurred_at":1767225600000,"ticket_id":"T","action":"opened"}'
    )
    rows = [
        Recorded(source, 0, 0, b"acme", value, stamp_ms)
        for source, value in ((Input.PAGE_VISITS, visited), (Input.TICKETS, opened))
    ]
    trouble = {"severity": "warning", "unresolved_days": 1}
    result = both(rows, only(risk_page=RISK, ticket_trouble=trouble), until="2026-01-02 12:00")
    assert alerts(result)[0][0] == instant


@pytest.mark.parametrize("neighbour", [None, b"{"], ids=["a whole chunk", "beside a broken record"])
@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-02T03:04:05.9999999Z", "2026-01-02T03:04:05.999Z"),
        ("2026-01-02T03:04:05.12399950000000001+01:00", "2026-01-02T02:04:05.123Z"),
        ("2026-01-02T03:04:05.9994999999Z", "2026-01-02T03:04:05.999Z"),
        ("2026-01-02T03:04:05.99999949Z", "2026-01-02T03:04:05.999Z"),
    ],
)
def test_a_fraction_is_cut_however_many_digits_it_has(
    text: str, instant: str, neighbour: bytes | None
) -> None:
    told = json.dumps(
        {"event_id": "e.1239999", "account_id": "acme", "occurred_at": text, "facts": {"nps": 60}}
    )
    values = [told.encode(), *([neighbour] if neighbour else [])]
    found = both([Recorded(Input.ACCOUNT_FACTS, 0, n, b"acme", value, -1) for n, value in enumerate(values)])
    assert [change["effective_at"] for change in found.score_changes] == [instant]


def test_an_expiry_is_cut_as_well() -> None:
    told = facts("2026-01-01 10:00", nps=60) | {"expires_at": "2026-01-02T10:00:00.9999999Z"}
    found = both(keyed(records([told])), until="2026-01-03 00:00")
    assert bands(found)[1] == ("2026-01-02T10:00:00.999Z", "insufficient_evidence", "evidence")


@pytest.mark.parametrize(
    ("source", "more", "outcome"),
    [
        (Input.LOGINS, b',"x":%d' % 10**30, "accepted"),
        (Input.LOGINS, b',"x":1e999', "accepted"),
        (Input.LOGINS, b',"occurred_at":%d' % (1 << 63), "wrong_type"),
        (Input.LOGINS, b',"occurred_at":%d' % ((1 << 63) - 1), "implausible_time"),
        (Input.PAGE_VISITS, b',"duration_ms":%d' % ((1 << 63) - 1), "accepted"),
        (Input.PAGE_VISITS, b',"duration_ms":%d' % (1 << 64), "wrong_type"),
        (Input.PAYMENTS, b',"payment_id":"p","status":"due","amount_minor":%d' % (-1 << 63), "accepted"),
        (
            Input.PAYMENTS,
            b',"payment_id":"p","status":"due","amount_minor":%d' % ((-1 << 63) - 1),
            "wrong_type",
        ),
        (Input.ACCOUNT_FACTS, b',"facts":{"nps":%d}' % ((1 << 63) - 1), "accepted"),
        (Input.ACCOUNT_FACTS, b',"facts":{"nps":%d}' % (1 << 63), "wrong_type"),
        (Input.ACCOUNT_FACTS, b',"facts":{"nps":1e999}', "wrong_type"),
        (Input.ACCOUNT_FACTS, b',"facts":{},"expires_at":%d' % 10**30, "wrong_type"),
    ],
)
def test_whole_numbers_have_64_bits_in_known_fields_and_any_size_in_others(
    source: Input, more: bytes, outcome: str
) -> None:
    assert outcomes(GOOD % more, source=source) == [outcome]


@pytest.mark.parametrize(
    ("more", "outcome"),
    [
        (b',"event_id":5,"event_id":"e"', "wrong_type"),
        (b',"event_id":"f"', "accepted"),
        (b',"account_id":"other"', "key_mismatch"),
        (b',"account_id":"other","account_id":"acme"', "accepted"),
        (b',"x":1,"x":"y"', "accepted"),
    ],
)
def test_of_a_repeated_name_every_value_is_checked_and_the_last_one_counts(more: bytes, outcome: str) -> None:
    assert outcomes(GOOD % more) == [outcome]


def test_of_a_repeated_fact_every_value_is_checked_and_the_last_one_counts() -> None:
    good, bad = (GOOD % b',"facts":{"nps":%s,"nps":60}' % first for first in (b"40", b"[40]"))
    found = both(
        [Recorded(Input.ACCOUNT_FACTS, 0, n, b"acme", value, -1) for n, value in enumerate((good, bad))]
    )
    assert [change["new"]["score"] for change in found.score_changes] == [60]
    assert found.dead_letters == [(Input.ACCOUNT_FACTS, 0, 1, "wrong_type")]


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (b'{"event_id":5}', "wrong_type"),
        (b'{"event_id":5} x', "not_json"),
        (b'{"event_id":5', "not_json"),
        (b'{"event_id":5,"x":"\xff"}', "not_json"),
        (GOOD % b',"x":"\xff"', "not_json"),
        (GOOD % b',"\xff":1', "not_json"),
        (GOOD % b',"x":"\\udc00"', "not_json"),
        (GOOD % b',"x":"\xc3\xa9"', "accepted"),
        (GOOD % b"" + b" \n", "accepted"),
    ],
)
def test_a_value_is_json_to_its_last_byte_or_not_at_all(value: bytes, outcome: str) -> None:
    assert outcomes(value) == [outcome]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([GOOD % b"" + GOOD % b"", b" "], ["not_json", "not_json"]),
        ([b'{"a":{}', b',"b":1}', b"{}{}"], ["not_json"] * 3),
        ([GOOD % b"" + b"\n" + GOOD % b"", GOOD % b',"event_id":"f"'], ["not_json", "accepted"]),
    ],
)
def test_no_value_of_a_chunk_reaches_into_its_neighbour(values: list[bytes], expected: list[str]) -> None:
    assert outcomes(*values) == expected


@pytest.mark.parametrize(
    ("address", "pages"),
    [
        ({"path": "/cancel"}, True),
        ({"path": "/cancel?why=price"}, True),
        ({"path": "/x?/cancel"}, False),
        ({"path": "/Cancel"}, False),
        ({"path": "/%63ancel"}, False),
        ({"path": "https://example.com/cancel"}, True),
        ({"path": "/x", "url": "https://example.com/cancel"}, False),
        ({"path": None, "url": "https://example.com/cancel"}, True),
        ({"url": "HTTPS://User@EXAMPLE.com:8443/cancel?why=price#top"}, True),
        ({"url": "https://example.com#/cancel"}, False),
        ({"url": "https://example.com?/cancel"}, False),
        ({"url": "/cancel#top"}, True),
        ({"url": "//example.com/cancel"}, False),
        ({"url": "1x://example.com/cancel"}, False),
        ({"path": "/" + "x" * 1_990 + "/end"}, True),
        ({"path": "/" + "x" * 1_999 + "/end"}, False),
        ({"path": "/a[b]c"}, True),
        ({"path": "/abc"}, False),
        ({"path": "/a\nb/end"}, True),
    ],
)
def test_the_path_of_a_page(address: Tree, pages: bool) -> None:  # noqa: FBT001
    patterns = {"cancel": ["/cancel", "*/end", "/a[b]c"]}
    visited = {"type": "page_visit", "account_id": "acme", "occurred_at": ONE} | address
    found = both(keyed(records([visited])), policy=only(risk_page=RISK) | {"pages": patterns})
    assert bool(found.disengagements) == pages


@pytest.mark.parametrize("address", [{"url": "https://example.com"}, {"path": ""}, {"path": "?x"}])
def test_an_address_without_a_path_is_the_root(address: Tree) -> None:
    visited = {"type": "page_visit", "account_id": "acme", "occurred_at": ONE} | address
    policy = only(risk_page=RISK) | {"pages": {"cancel": ["/"]}}
    assert both(keyed(records([visited])), policy=policy).disengagements


def test_a_visit_without_an_address_is_of_no_kind_even_if_a_pattern_matches_everything() -> None:
    visited = {"type": "page_visit", "account_id": "acme", "occurred_at": ONE}
    policy = only(risk_page=RISK) | {"pages": {"cancel": ["*"]}}
    assert both(keyed(records([visited])), policy=policy).disengagements == []


@pytest.mark.parametrize(
    ("number", "score"),
    [
        (100, 100),
        (100.0004, 100),
        (100.0005, None),
        (-100.0004, 0),
        (-100.0006, None),
        (10**15 + 1, None),
        (1e16, None),
    ],
)
def test_a_number_outside_the_range_of_its_fact_is_absent(number: float, score: float | None) -> None:
    found = both(keyed(records([facts("2026-01-01 10:00", nps=number)])))
    assert [change["new"]["score"] for change in found.score_changes] == ([] if score is None else [score])


def test_an_unknown_kind_is_a_customer_and_its_expiry_is_no_evidence() -> None:
    told = facts("2026-01-01 10:00", "2026-01-02 00:00", kind="reseller") | {"event_id": "kind"}
    found = both(keyed(records([told, facts("2026-01-01 11:00", nps=60)])), until="2026-01-03 00:00")
    assert bands(found) == [(shown("2026-01-01 11:00"), "high", "fact")]


# --- many records ------------------------------------------------------------------------------------------------


#   log-ins   e98                payments   e99        page visits   e9a ...   all short, each taken
def test_short_ids_of_different_inputs_are_never_taken_for_one_another() -> None:
    ids = [f"{letter}{number}" for letter in ("", "e", "id-00", "id-00000") for number in range(16)]
    events = [
        event("2026-01-01 10:00", event_id=event_id)
        for event_id in ids
        for event in (login, lambda when, event_id: visit(when, "/x", event_id=event_id), facts_of)
    ]
    assert both(keyed(records(events))).notes["duplicate"] == 0


def facts_of(when: str, event_id: str) -> Tree:
    return facts(when, owner="ana") | {"event_id": event_id}


#   log-ins    9:00  11:00  x 100  13:00             the halt lets pass what is older than the log-in of 11:00
#   visits     8:00  10:00  11:00  12:00             taken: 8:00, 10:00; at 11:00 log-ins come first
#   facts      11:00                                 facts come before log-ins: taken
def test_a_halt_lets_pass_what_is_older_than_the_last_event_of_the_halted_input() -> None:
    hour = 3_600_000
    logins = [
        Recorded(
            Input.LOGINS, 0, 0, b"acme", GOOD % b',"event_id":"a","occurred_at":%d' % (ONE + 9 * hour), -1
        ),
        Recorded(
            Input.LOGINS, 0, 1, b"acme", GOOD % b',"event_id":"b","occurred_at":%d' % (ONE + 11 * hour), -1
        ),
        *(Recorded(Input.LOGINS, 0, 2 + n, b"acme", b"{", -1) for n in range(100)),
        Recorded(
            Input.LOGINS, 0, 102, b"acme", GOOD % b',"event_id":"c","occurred_at":%d' % (ONE + 13 * hour), -1
        ),
    ]
    others = [visit(ONE + hours * hour, "/cancel") for hours in (8, 10, 11, 12)] + [
        facts(ONE + 11 * hour, nps=60)
    ]
    found = both(logins + keyed(records(others)), until="2026-03-01 00:00")
    assert found.halts == [(0, Input.LOGINS, 101)]
    assert found.left == 2
    assert alerts(found) == [
        (shown("2026-01-01 08:00"), "firing", "info", ["risk_page"]),
        (shown("2026-01-01 10:00"), "escalated", "warning", ["risk_page"]),
    ]
    assert bands(found) == [(shown("2026-01-01 11:00"), "high", "fact")]


def test_a_reject_is_told_once_the_records_before_it_are_taken() -> None:
    rows = [
        Recorded(Input.LOGINS, 0, 0, b"acme", b"{", -1),
        Recorded(Input.LOGINS, 0, 1, b"acme", GOOD % b"", -1),
        Recorded(Input.LOGINS, 0, 2, b"acme", b"{", -1),
    ]
    assert [dead[2] for dead in both(rows, until="2026-01-01 00:00").dead_letters] == [0, 2]
    assert [dead[2] for dead in both(rows, until="2025-12-31 00:00").dead_letters] == [0]


# the model has a window of seven days over log-ins and none over page visits
#
#   20 Jan   then 1 Jan: too late for the log-in, for the visit nothing is
def test_nothing_is_too_late_for_a_source_without_a_window() -> None:
    tree = model(
        component(
            "in", metric={"feature": "count", "source": "logins", "window_days": 7}, ramp=[[0, 0], [9, 100]]
        ),
        component("seen", metric={"feature": "since_last", "source": "page_visits"}, ramp=[[0, 100], [9, 0]]),
    )
    late = [login("2026-01-20 10:00"), login("2026-01-01 10:00")]
    assert both(keyed(records(late)), tree=tree).notes["too_late"] == 1
    late = [visit("2026-01-20 10:00", "/x"), visit("2026-01-01 10:00", "/x")]
    assert both(keyed(records(late)), tree=tree).notes["too_late"] == 0


def test_without_any_evidence_there_is_no_score_even_if_none_is_asked_for() -> None:
    found = both(keyed(records([login("2026-01-01 10:00")])), tree=model(component("nps"), min_coverage=0))
    assert found.score_changes == []
    assert found.final["acme"]["models"]["test"] == {
        "score": None,
        "band": "insufficient_evidence",
        "coverage": 0,
    }


# other moves the clock to 20 Jan 9:58; what comes then and is older is evaluated at the midnight before
#
#   other   1 Jan                    20 Jan 10:00
#   acme    1 Jan nps 60             then 15 Jan: nps 40      old    then 15 Jan: nps 40
#   late                             20 Jan 9:00: nps 40, of the clock's own day: at its own time
def test_what_is_older_than_the_clocks_day_is_evaluated_at_its_start() -> None:
    told = [
        facts("2026-01-01 10:00", nps=60),
        facts("2026-01-20 10:00", nps=60) | {"account_id": "other"},
        facts("2026-01-15 10:00", nps=40),
        facts("2026-01-15 10:00", nps=40) | {"account_id": "old"},
        facts("2026-01-20 09:00", nps=40) | {"account_id": "late"},
    ]
    found = both(keyed(records(told)), policy=only())
    times = {c["account_id"]: c["effective_at"] for c in found.score_changes}
    assert times == {
        "acme": shown("2026-01-20 00:00"),
        "other": shown("2026-01-20 10:00"),
        "old": shown("2026-01-20 00:00"),
        "late": shown("2026-01-20 09:00"),
    }


# --- recorded files ----------------------------------------------------------------------------------------------


def replayed(
    folder: Path, content: bytes, *, partitions: int = 1, until_ms: int | None = None
) -> tuple[Audit, list[tuple[str | None, int, str]]]:
    """Return what replay and auditor say alike of a file, and its dead letters: topic, offset or line, reason."""
    (folder / "recording.jsonl").write_bytes(content)
    policy = default_policy(models=["test"])
    program = program_of(policy, {"test": NPS})
    replay_files([folder / "recording.jsonl"], program, partitions=partitions, until_ms=until_ms, out=folder)
    rows, broken = read_recorded(content, partitions)
    found = audit(
        rows, policy=policy, models={"test": NPS}, partitions=partitions, until_ms=until_ms, keyed=False
    )
    assert_files_equal(folder, found)
    told = [(dead["topic"], dead["offset"], dead["reason"]) for dead in lines(folder / "dead-letters.jsonl")]
    expected: list[tuple[str | None, int, str]] = [(None, line, reason.value) for line, reason in broken]
    expected += [
        (INPUT_TOPICS[s].name, offset, reason) for s, _, offset, reason in found.dead_letters if s is not None
    ]
    assert sorted(told, key=repr) == sorted(expected, key=repr)
    return found, told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"", []),
        (b" \t\r", []),
        (b"{", [(None, 1, "not_json")]),
        (b'{"type":5} x', [(None, 1, "not_json")]),
        (b'{"type":"login","account_id":"acme","x":"\xff"}', [(None, 1, "not_json")]),
        (b"[]", [(None, 1, "wrong_type")]),
        (b'{"type":"teapot","account_id":"acme"}', [(None, 1, "wrong_type")]),
        (b'{"account_id":"acme"}', [(None, 1, "wrong_type")]),
        (b'{"type":"login"}', [(None, 1, "wrong_type")]),
        (b'{"type":"login","account_id":5}', [(None, 1, "wrong_type")]),
        (b'{"type":"login","account_id":"acme","received_at":"yesterday"}', [(None, 1, "wrong_type")]),
        (b'{"type":"login","account_id":"acme"}', [("logins", 0, "wrong_type")]),
        (
            b'{"type":"login","event_id":"e","occurred_at":0,"account_id":""}',
            [("logins", 0, "bad_account_id")],
        ),
        (
            b'{"type":"login","event_id":"e","occurred_at":0,"account_id":"a\\nb"}',
            [("logins", 0, "bad_account_id")],
        ),
        (
            b'{"type":"login","event_id":"e","occurred_at":0,"account_id":"%s"}' % (b"a" * 257),
            [("logins", 0, "bad_account_id")],
        ),
        (
            b'{"type":"login","event_id":"e","occurred_at":0,"account_id":"acme"}',
            [("logins", 0, "implausible_time")],
        ),
    ],
)
def test_a_line_that_cannot_be_routed_is_told_by_its_number_and_any_other_by_its_place(
    tmp_path: Path, line: bytes, told: list[tuple[str | None, int, str]]
) -> None:
    assert replayed(tmp_path, line + b"\n")[1] == told


@pytest.mark.parametrize("received", ["2026-01-01T10:00:00.9999999Z", at("2026-01-01 10:00") + 999])
def test_the_time_of_receipt_is_an_instant_like_any_other(tmp_path: Path, received: str | int) -> None:
    told = facts("2026-01-02 10:00", nps=60) | {"event_id": "e", "received_at": received}
    found, _ = replayed(tmp_path, json.dumps(told).encode())
    assert bands(found) == [("2026-01-01T10:00:00.999Z", "high", "fact")]


# two partitions; log-ins of a few accounts on 1 Jan, one in the other partition on 3 Jan; one page of 2150 is no time
#
#   facts    3 Jan 12:00 is within a day of 3 Jan 11:00: believed, though not in its own partition
#            5 Jan 12:00 is not: set back to 3 Jan 11:00
@pytest.mark.parametrize(("day", "effective"), [(3, "2026-01-03 12:00"), (5, "2026-01-03 11:00")])
def test_what_lies_in_the_future_of_an_undated_file_is_judged_against_all_of_the_file(
    tmp_path: Path, day: int, effective: str
) -> None:
    home = partition_of("acme", 2)
    other = next(name for name in map(str, range(9)) if partition_of(name, 2) != home)
    events = [
        login("2026-01-01 10:00", event_id="a"),
        login("2026-01-03 11:00", event_id="b", account_id=other),
        visit(5_680_281_600_000, "/x", event_id="c"),
        facts(f"2026-01-0{day} 12:00", nps=60) | {"event_id": "d"},
    ]
    content = b"\n".join(json.dumps(event).encode() for event in events)
    found, told = replayed(tmp_path, content, partitions=2)
    assert bands(found) == [(shown(effective), "high", "fact")]
    assert told == [("page-visits", 0, "implausible_time")]


#   acme active on 1 Jan; log-ins halt; without the halt the silence would be told long before 1 Jul
def test_the_clock_of_a_halted_partition_stands_still_at_the_end_of_a_replay(tmp_path: Path) -> None:
    event = json.dumps(login("2026-01-01 10:00", event_id="a")).encode()
    broken = b'{"type":"login","account_id":"acme"}'
    found, told = replayed(tmp_path, b"\n".join([event, *[broken] * 100]), until_ms=at("2026-07-01 00:00"))
    assert found.halts == [(0, Input.LOGINS, 100)]
    assert len(told) == 100
    assert found.disengagements == []
    found, _ = replayed(tmp_path, b"\n".join([event, *[broken] * 99]), until_ms=at("2026-07-01 00:00"))
    assert found.disengagements


# --- edges that draws seldom meet --------------------------------------------------------------------------------


def test_a_category_without_points_counts_as_missing() -> None:
    mood = {"metric": {"feature": "fact", "source": "csm_sentiment"}, "table": {"good": 100}}
    tree = model(component("nps"), component("mood", 3, **mood), min_coverage=0.1, min_change=1)
    told = [
        facts("2026-01-05 10:00", nps=60, csm_sentiment="good"),
        facts("2026-01-06 10:00", csm_sentiment="poor"),
    ]
    changes = both(keyed(records(told)), tree=tree).score_changes
    assert [(change["new"]["score"], change["new"]["coverage"]) for change in changes] == [
        (90, 1),
        (60, 0.25),
    ]


# refund      10:00 (comes last)
# success     10:00 or a second later: it stands
@pytest.mark.parametrize(("paid", "statuses"), [("10:00:00", []), ("10:00:01", []), ("09:59:59", ["firing"])])
def test_a_refund_that_is_no_later_than_the_success_changes_nothing(paid: str, statuses: list[str]) -> None:
    sent = [
        payment(f"2026-01-05 {paid}", "succeeded"),
        payment("2026-01-05 10:00:00", "refunded"),
    ]
    result = both(
        keyed(records(sent)), only(payment_trouble={"severity": "warning"}), until="2026-01-05 12:00"
    )
    assert [alert["status"] for alert in result.disengagements] == statuses


def test_activity_of_a_day_that_is_no_longer_kept_is_in_no_window() -> None:
    """The day of the second log-in is 128 days before that of the first: the set of active days has forgotten it."""
    start = at("2026-06-01 10:00")
    sent = [login(start), login(start - 128 * DAY_MS), login(start - 127 * DAY_MS)]
    rules = only(
        absolute_silence={"severity": "info", "days": 1},
        reengaged={"severity": "info", "active_days": 1, "quiet_days": 1},
    )
    assert both(keyed(records(sent)), rules, until="2026-06-02 12:00").notes["late_for_rhythm"] == 2
