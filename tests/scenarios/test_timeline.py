"""The timelines themselves: a picture that does not show what comes out is refused, as is one that cannot be read."""

from __future__ import annotations

import pytest

from tests.scenarios.timeline import instant, millis, moment, play

RULES = {"absolute_silence": {"days": 5}}


#   silent from day 0 on: the alarm is on day 6, critical
@pytest.mark.parametrize(
    "picture",
    [
        "absolute_silence .....F...",
        "absolute_silence .......F.",
        "absolute_silence ......E..",
        "absolute_silence ......F.R",
        "absolute_silence .........",
        "severity         ......w..",
    ],
)
def test_a_picture_of_something_else_is_refused(picture: str) -> None:
    happens = "day              0\nlogin            x........\n"
    play(happens + "absolute_silence ......F..", rules=RULES)
    with pytest.raises(AssertionError, match=f"^{picture.split(maxsplit=1)[0]}:"):
        play(happens + picture, rules=RULES)


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        ("day      0        10\nlogin    x", "labels out of place"),
        ("day      0\nlogin    x\nhour     0\nlogin    x", "two units"),
        ("login    x", "no ruler above"),
        ("day      0\nloginn   x", "no lane of this name"),
    ],
)
def test_a_picture_that_cannot_be_read_is_refused(picture: str, why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        play(picture)


@pytest.mark.parametrize("text", ["0 00:00", "3 09:30", "3 09:30:05", "12 23:59:59.999", "-1 12:00"])
def test_instants_are_written_as_they_are_read(text: str) -> None:
    assert instant(moment(text).isoformat()) == text
    assert millis(text) - millis("0") == round((moment(text) - moment("0")).total_seconds() * 1000)
