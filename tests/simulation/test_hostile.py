"""Bad records: seeded, every case is there, and each is as bad as its name says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from agents.simulation.hostile import CASES, HostileRecord, hostile_records
from schemas.events import VALUE_BYTES_MAX
from schemas.reasons import EventNote, RejectReason

if TYPE_CHECKING:
    from agents.simulation import SimulatedEvent


@pytest.fixture(scope="module")
def records(events: list[SimulatedEvent]) -> list[HostileRecord]:
    return list(hostile_records(np.random.default_rng(3), events[:500], 2 * len(CASES)))


def test_the_same_seed_gives_the_same_records(
    events: list[SimulatedEvent], records: list[HostileRecord]
) -> None:
    assert records == list(hostile_records(np.random.default_rng(3), events[:500], 2 * len(CASES)))


def test_every_case_comes_as_often_as_every_other(records: list[HostileRecord]) -> None:
    names = [record.case for record in records]
    assert len(set(names)) == len(CASES)
    assert {names.count(name) for name in names} == {2}


def test_every_reason_to_reject_is_provoked(records: list[HostileRecord]) -> None:
    # How many accounts there are is no matter of one record.
    of_records = set(RejectReason) - {RejectReason.TOO_MANY_ACCOUNTS}
    assert {record.expected for record in records} >= of_records
    assert {record.expected for record in records} >= {
        EventNote.DUPLICATE,
        EventNote.FUTURE_CLAMPED,
        EventNote.UNKNOWN_VALUE,
    }


def test_records_are_as_bad_as_their_label_says(records: list[HostileRecord]) -> None:
    for record in records:
        match record.expected:
            case RejectReason.NOT_JSON:
                with pytest.raises(ValueError, match=r".+"):
                    json.loads(record.value or b"")
            case RejectReason.EMPTY_VALUE:
                assert not record.value
            case RejectReason.VALUE_TOO_LARGE:
                assert len(record.value or b"") > VALUE_BYTES_MAX
            case RejectReason.KEY_MISSING:
                assert record.key is None
            case RejectReason.KEY_MISMATCH:
                assert json.loads(record.value or b"")["account_id"].encode() != record.key
            case RejectReason.WRONG_PARTITION:
                assert record.partition_shift == 1
            case _:
                json.loads(record.value or b"")
