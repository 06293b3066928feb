"""Models in shadow: scored like any, told in a topic of their own, and nothing rests on them.

policy     first live, second in shadow        second live
second     nps 80 ... nps 40                   its first score change, judged from the band it has
           shadow-scores                       score-changes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.auditor.scenarios import NPS, component, model
from tests.core.test_control import TURNED, policy
from tests.scenarios.timeline import facts, instant, login, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.scenarios.timeline import Tree

SECOND: Final[Tree] = NPS | {"model": "second"}
"""Points are the NPS; `high` from 50 on, left below 48; only bands are told."""
BOTH: Final = (NPS, SECOND)
UNHEARD: Final = {"score": None, "band": "insufficient_evidence", "coverage": 0.0}


def test_its_scores_go_to_their_own_topic_and_stand_apart_in_the_view() -> None:
    story = run(facts("0 09:00", nps=80), facts("3 09:00", nps=30), until="4", models=BOTH, shadow=["second"])
    told = ["0 09:00 80 high by fact", "3 09:00 30 low by fact"]
    assert (story.scores, story.shadow_scores) == (told, told)
    assert {change["model"] for change in story.changes} == {"test"}
    assert {change["model"] for change in story.in_shadow} == {"second"}
    (shown,) = story.view["shadow"]
    assert (shown["model"], shown["score"], shown["band"]) == ("second", 30, "low")
    assert [score["model"] for score in story.view["scores"]] == ["test"]


def test_what_is_told_of_it_is_what_would_be_told_of_it_live() -> None:
    told = (
        facts("0 09:00", nps=80),
        facts("3 09:00", nps=30),
        facts("5 09:00", "6 09:00", override__second=90),
    )
    shadow = run(*told, until="9", models=BOTH, shadow=["second"])
    live = run(*told, until="9", models=BOTH)
    assert shadow.in_shadow == [change for change in live.changes if change["model"] == "second"]
    assert [*shadow.view["scores"], *shadow.view["shadow"]] == live.view["scores"]
    assert shadow.shadow_scores[2:] == ["5 09:00 90 high by override", "6 09:00 30 low by evidence"]


def test_a_fall_of_it_alerts_nobody() -> None:
    flat = model(component("seats", ramp=[[0, 60], [9, 60]], metric={"feature": "fact", "source": "seats"}))
    told = (facts("0 09:00", nps=80, seats=4), facts("3 09:00", nps=10))
    story = run(*told, until="5", models=(flat, SECOND), shadow=["second"], rules={"band_drop": {}})
    assert story.shadow_scores[-1] == "3 09:00 10 low by fact"
    assert story.messages == []
    assert run(*told, until="5", models=(SECOND, flat), rules={"band_drop": {}}).messages != []


@pytest.mark.parametrize(("shadow", "value"), [([], 80), (["value"], None)])
def test_alerts_do_not_tell_its_score_as_their_value(shadow: list[str], value: float | None) -> None:
    other = run(
        facts("0 09:00", nps=80), login("0 10:00"), until="40",
        models=(NPS, NPS | {"model": "value"}), shadow=shadow, rules={"absolute_silence": {"days": 20}},
    )  # fmt: skip
    assert [alert["value"] for alert in other.alerts] == [value]


# --- it goes live, and back ----------------------------------------------------------------------------------------


def moved(
    *events: Tree,
    before: Sequence[str],
    after: Sequence[str],
    models: Sequence[Tree] = BOTH,
    until: str = "9",
) -> Any:
    """Return what comes of a policy that takes hold on day 5, in which other models are in shadow."""
    return run(
        *events,
        until=until,
        models=BOTH,
        shadow=list(before),
        control=[policy("5 00:00", models, shadow=list(after))],
    )


def test_gone_live_it_sends_its_first_score_change_as_to_those_who_never_heard_of_it() -> None:
    story = moved(facts("0 09:00", nps=80), facts("7 09:00", nps=20), before=["second"], after=[])
    assert story.shadow_scores == ["0 09:00 80 high by fact"]
    second = [change for change in story.changes if change["model"] == "second"]
    assert [(instant(c["effective_at"]), c["cause"]["kind"], c["new"]["score"]) for c in second] == [
        ("5 00:00", "model", 80), ("7 09:00", "fact", 20),
    ]  # fmt: skip
    first, later = second
    assert first["old"] == UNHEARD
    assert [part["old"] for part in first["contributions"] + first["dimensions"]] == [None, None]
    assert later["old"] == first["new"]
    assert [c["model"] for c in story.changes if instant(c["effective_at"]) == "5 00:00"] == ["second"]
    ids = [change["change_id"] for change in (*story.in_shadow, *story.changes)]
    assert len(set(ids)) == len(ids) == 5
    assert [score["model"] for score in story.view["scores"]] == ["test", "second"]
    assert story.view["shadow"] == []


def test_it_is_warm_its_band_is_judged_from_the_one_it_has() -> None:
    """49 is `low` by the cuts, and still `high` for whom was high: one that is new would be low."""
    told = (facts("0 09:00", nps=80), facts("3 09:00", nps=49))
    story = moved(*told, before=["second"], after=[])
    assert story.shadow_scores == ["0 09:00 80 high by fact"]
    assert story.scores[-1] == "5 00:00 49 high by model"
    other = NPS | {"model": "second", "version": 2}
    new = moved(*told, before=["second"], after=[], models=(NPS, other))
    assert new.scores[-1] == "5 00:00 49 low by model"
    assert new.changes[-1]["old"] == UNHEARD


def test_gone_into_shadow_it_begins_there_and_nothing_more_is_said_where_it_was() -> None:
    story = moved(facts("0 09:00", nps=80), facts("7 09:00", nps=20), before=[], after=["second"])
    assert [c["model"] for c in story.changes] == ["test", "second", "test"]
    assert story.shadow_scores == ["5 00:00 80 high by model", "7 09:00 20 low by fact"]
    assert story.in_shadow[0]["old"] == UNHEARD


def test_a_model_without_evidence_says_nothing_as_it_moves_and_goes_on_from_there() -> None:
    told = (facts("0 09:00", "4 00:00", nps=80), facts("7 09:00", nps=60))
    story = moved(*told, before=["second"], after=[])
    assert story.shadow_scores == ["0 09:00 80 high by fact", "4 00:00 - insufficient_evidence by evidence"]
    second = [change for change in story.changes if change["model"] == "second"]
    assert [(instant(c["effective_at"]), c["old"], c["new"]["score"]) for c in second] == [
        ("7 09:00", UNHEARD, 60)
    ]


def test_a_model_that_stays_in_shadow_says_nothing_of_a_change_and_one_that_is_new_there_does() -> None:
    stays = moved(facts("0 09:00", nps=80), before=["second"], after=["second"])
    assert stays.shadow_scores == ["0 09:00 80 high by fact"]
    new = moved(
        facts("0 09:00", nps=80),
        before=["second"],
        after=["second"],
        models=(NPS, TURNED | {"model": "second"}),
    )
    assert new.shadow_scores == ["0 09:00 80 high by fact", "5 00:00 20 low by model"]
    assert new.in_shadow[1]["old"]["score"] == 80
