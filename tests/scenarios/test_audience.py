"""To whom a model applies: by kind, segment, plan and age, to the day and the millisecond."""

from __future__ import annotations

from typing import Any

import pytest

from tests.auditor.scenarios import component, model
from tests.scenarios.timeline import Story, Tree, facts, login, play, run


def one(**asked: Any) -> Tree:
    """Return a model of one fact for customers, and of them for whom is asked for."""
    return model(component("savings_pct")) | {"min_change": 1, "applies_to": {"kind": ["customer"]} | asked}


def moves(story: Story) -> list[str]:
    """Return when the score of the first model changed, to what, and by what kind of cause."""
    return [line.replace("not_applicable", "n/a") for line in story.scores]


# --- segment and plan ----------------------------------------------------------------------------------------------


#   the model is for two segments; before the first is told it does not apply, and it does not to a third one
def test_a_model_for_segments_scores_those_alone_and_begins_and_ends_with_the_fact() -> None:
    story = play(
        """
    day           0         10        20        30        40        50
    savings_pct   80
    segment           small     large     mid       SMALL     small   -
    """,
        models=[one(segment=["small", "mid"])],
    )
    assert moves(story) == [
        "0 12:00 - n/a by fact",
        "4 12:00 80 high by fact",
        "14 12:00 - n/a by fact",
        "24 12:00 80 high by fact",
        "34 12:00 - n/a by fact",
        "44 12:00 80 high by fact",
        "52 12:00 - n/a by fact",
    ]
    assert [change["new"]["coverage"] for change in story.changes] == [0, 1, 0, 1, 0, 1, 0]


@pytest.mark.parametrize("told", ["team ", "Team", "", "tea", 1, True, None])
def test_a_plan_is_compared_whole_and_as_a_text(told: object) -> None:
    story = run(
        facts("0 12:00", savings_pct=80, plan=told), until="1 00:00", models=[one(plan=["team", "1", "true"])]
    )
    assert moves(story) == ["0 12:00 - n/a by fact"]


@pytest.mark.parametrize("told", ["team", "1", "Ümläut 名"])
def test_any_text_that_is_named_counts(told: str) -> None:
    story = run(
        facts("0 12:00", savings_pct=80, plan=told),
        until="1 00:00",
        models=[one(plan=["1", "Ümläut 名", "team"])],
    )
    assert moves(story) == ["0 12:00 80 high by fact"]


#   both are asked for: one alone is not enough; kind comes first
def test_all_that_is_asked_for_must_hold() -> None:
    story = run(
        facts("0 12:00", savings_pct=80),
        facts("1 12:00", plan="team"),
        facts("2 12:00", segment="small"),
        facts("3 12:00", kind="trial"),
        facts("4 12:00", kind="customer"),
        facts("5 12:00", plan="starter"),
        until="9 00:00",
        models=[one(plan=["team", "business"], segment=["small"])],
    )
    assert moves(story) == [
        "0 12:00 - n/a by fact",
        "2 12:00 80 high by fact",
        "3 12:00 - n/a by fact",
        "4 12:00 80 high by fact",
        "5 12:00 - n/a by fact",
    ]


#   a text in one fact is none in the other, and what one model asks for is nothing to the other
def test_each_model_has_its_own_texts_of_each_fact() -> None:
    first = one(plan=["team"], segment=["small"]) | {"model": "first"}
    second = one(segment=["team"]) | {"model": "second"}
    third = one() | {"model": "third"}
    story = run(
        facts("0 12:00", savings_pct=80, plan="small", segment="team"),
        facts("1 12:00", plan="team", segment="small"),
        until="2 00:00",
        models=[first, second, third],
    )
    assert [f"{change['model']} {change['new']['band']}" for change in story.changes] == [
        "first not_applicable", "second high", "third high", "first high", "second not_applicable",
    ]  # fmt: skip


#   told until day 3, 09:30: a millisecond before that the model still applies
@pytest.mark.parametrize(
    ("until", "last"),
    [("3 09:29:59.999", "0 12:00 80 high by fact"), ("3 09:30", "3 09:30 - n/a by evidence")],
)
def test_a_plan_that_expires_ends_it_at_its_instant(until: str, last: str) -> None:
    story = run(
        facts("0 12:00", savings_pct=80),
        facts("0 12:00", expires="3 09:30", plan="team"),
        until=until,
        models=[one(plan=["team"])],
    )
    assert moves(story)[-1] == last


#   a plan that no model names is not read: at its end, a midnight, the day is the cause
@pytest.mark.parametrize(("plan", "cause"), [("team", "evidence"), ("starter", "time")])
def test_the_end_of_a_text_that_nobody_names_is_no_cause(plan: str, cause: str) -> None:
    story = run(
        facts("0 12:00", savings_pct=80),
        facts("0 12:00", expires="3 00:00", plan=plan),
        until="4 00:00",
        models=[
            one() | {"applies_to": {"kind": ["customer"], "age": {"to_days": 3}}},
            one(plan=["team"]) | {"model": "other"},
        ],
    )
    first = [
        line for line, change in zip(story.scores, story.changes, strict=True) if change["model"] == "test"
    ]
    assert first == ["0 12:00 80 high by fact", f"3 00:00 - not_applicable by {cause}"]


# --- age -----------------------------------------------------------------------------------------------------------


#   day 0 is the first of its age: days 3, 4 and 5 of it are days 2, 3 and 4, to their last millisecond
@pytest.mark.parametrize(
    ("until", "scores"),
    [
        ("1 23:59:59.999", ["0 12:00 - n/a by fact"]),
        ("2 00:00", ["0 12:00 - n/a by fact", "2 00:00 80 high by time"]),
        ("4 23:59:59.999", ["0 12:00 - n/a by fact", "2 00:00 80 high by time"]),
        ("5 00:00", ["0 12:00 - n/a by fact", "2 00:00 80 high by time", "5 00:00 - n/a by time"]),
        ("99 00:00", ["0 12:00 - n/a by fact", "2 00:00 80 high by time", "5 00:00 - n/a by time"]),
    ],
)
def test_an_age_begins_and_ends_with_a_midnight_without_any_event(until: str, scores: list[str]) -> None:
    asked = one(age={"from_days": 3, "to_days": 5})
    assert moves(run(facts("0 12:00", savings_pct=80), until=until, models=[asked])) == scores


#   on its first and on its last day a change of the score is told, on the days beside them none
def test_both_ends_of_an_age_belong_to_it() -> None:
    told = [facts(f"{day} 12:00", savings_pct=60 + day) for day in range(7)]
    assert moves(run(*told, until="7 00:00", models=[one(age={"from_days": 3, "to_days": 5})])) == [
        "0 12:00 - n/a by fact",
        "2 00:00 61 high by time",
        "2 12:00 62 high by fact",
        "3 12:00 63 high by fact",
        "4 12:00 64 high by fact",
        "5 00:00 - n/a by time",
    ]


def test_an_end_that_is_left_out_has_no_limit() -> None:
    told = facts("0 12:00", "999 12:00", savings_pct=80)
    old = run(told, until="900 00:00", models=[one(age={"from_days": 800})])
    young = run(told, until="900 00:00", models=[one(age={"to_days": 800})])
    assert moves(old) == ["0 12:00 - n/a by fact", "799 00:00 80 high by time"]
    assert moves(young) == ["0 12:00 80 high by fact", "800 00:00 - n/a by time"]


#   in Madrid (an hour ahead in January) day 2 begins at 23:00 of day 1
def test_the_days_of_an_age_are_those_of_the_account() -> None:
    told = facts("0 12:00", savings_pct=80, time_zone="Europe/Madrid")
    story = run(told, until="9 00:00", models=[one(age={"from_days": 3})])
    assert moves(story) == ["0 12:00 - n/a by fact", "1 23:00 80 high by time"]


#   a fact of day 0 arrives on day 2: the account is not one day old but three
def test_an_older_event_makes_the_account_older_at_once() -> None:
    told = facts("2 12:00", savings_pct=80), facts("0 12:00", nps=5)
    story = run(*told, until="3 00:00", models=[one(age={"from_days": 3})])
    assert moves(story) == ["2 12:00 - n/a by fact", "2 12:00 80 high by fact"]


#   it has been a customer since day 10: its age is counted from its first event all the same
def test_an_age_is_not_counted_from_when_it_became_a_customer() -> None:
    told = facts("0 12:00", savings_pct=80, customer_since="2026-01-15")
    assert (
        moves(run(told, until="9 00:00", models=[one(age={"from_days": 3})]))[1] == "2 00:00 80 high by time"
    )


# --- what follows --------------------------------------------------------------------------------------------------


#   what began again is judged by the plain cuts: 49 was held in the upper band by the margin, and is below the cut of 50
def test_bands_begin_anew_when_a_model_applies_again() -> None:
    story = run(
        facts("0 12:00", savings_pct=60, plan="team"),
        facts("1 12:00", savings_pct=49),
        facts("2 12:00", plan="starter"),
        facts("3 12:00", plan="team"),
        until="4 00:00",
        models=[one(plan=["team"])],
    )
    assert moves(story) == [
        "0 12:00 60 high by fact",
        "1 12:00 49 high by fact",
        "2 12:00 - n/a by fact",
        "3 12:00 49 low by fact",
    ]


#   rules go on: whom no model scores may still fall silent
def test_rules_do_not_ask_to_whom_models_apply() -> None:
    story = run(
        *(login(f"{day} 12:00") for day in range(20)),
        until="60 00:00",
        models=[one(plan=["team"])],
        rules={"silence": {}},
    )
    assert [line.split()[2] for line in story.messages] == ["firing"]
    assert moves(story) == ["0 12:00 - n/a by event"]


#   an override pins nothing that does not apply
def test_an_override_does_not_make_a_model_apply() -> None:
    told = facts("0 12:00", savings_pct=80, override__test=33), facts("1 12:00", plan="team")
    story = run(*told, until="2 00:00", models=[one(plan=["team"])])
    assert moves(story) == ["0 12:00 - n/a by override", "1 12:00 33 low by fact"]
