from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.zones import ZoneDatabase, zone_table
from streams.days import Zone, local_day, one_zone, segment, zone_code

ZONES = (
    "UTC",
    "America/Santiago",  # midnight skipped, southern summer
    "Asia/Beirut",  # midnight skipped
    "Europe/Madrid",
    "Australia/Lord_Howe",  # half an hour of summer time
    "Africa/Casablanca",  # standard time during Ramadan only
    "Pacific/Apia",  # a whole day skipped
    "Africa/Monrovia",  # offset of 44 min 30 s until 1972
    "Asia/Kathmandu",
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
END_MS = 4_102_444_800_000

table = cache(zone_table)


def offset_ms(name: str, at_ms: int) -> int:
    offset = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(name)).utcoffset()
    assert offset is not None
    return offset // timedelta(milliseconds=1)


def table_offset_ms(zone: Zone, at_ms: int) -> int:
    return int(zone.offsets[segment(one_zone(zone), 0, at_ms)])


@given(st.sampled_from(sorted(available_timezones())), st.integers(0, END_MS))
@example("Pacific/Apia", 1_325_239_200_000)
def test_a_table_says_what_the_time_zone_database_says(name: str, at_ms: int) -> None:
    assert table_offset_ms(table(name), at_ms) == offset_ms(name, at_ms)


@pytest.mark.parametrize("name", ZONES)
def test_every_transition_is_exact(name: str) -> None:
    zone = table(name)
    for start in zone.starts[1:].tolist():
        before, after = table_offset_ms(zone, start - 1), table_offset_ms(zone, start)
        assert (before, after) == (offset_ms(name, start - 1), offset_ms(name, start))
        assert before != after


@given(st.sampled_from(ZONES), st.integers(0, END_MS))
def test_the_local_day_is_the_calendar_s(name: str, at_ms: int) -> None:
    date = (EPOCH + timedelta(milliseconds=at_ms)).astimezone(ZoneInfo(name)).date()
    assert local_day(one_zone(table(name)), 0, at_ms) == (date - EPOCH.date()).days


def test_a_table_is_two_rising_arrays_of_int64() -> None:
    zone = table("America/Santiago")
    assert zone.starts.dtype == zone.offsets.dtype == np.int64
    assert len(zone.starts) == len(zone.offsets) > 200
    assert (np.diff(zone.starts) > 0).all()


def test_a_zone_without_transitions_has_one_row() -> None:
    assert len(table("UTC").starts) == 1


@pytest.mark.parametrize("name", ["Mars/Olympus", "America", "../etc/passwd", "", "\0"])
def test_an_unknown_zone_has_no_table(name: str) -> None:
    assert ZoneDatabase().table(name) is None


def test_a_zone_is_found_again_by_its_code() -> None:
    """Rows keep a zone's code: two zones with one code would be mistaken for each other."""
    names = available_timezones()
    assert {ZoneDatabase().name_of(zone_code(name)) for name in names} == names
    assert ZoneDatabase().name_of(1) is None
