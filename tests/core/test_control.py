"""What control records do, as timelines of one account: alerts muted and told later, another policy, halted inputs.

pause       P......R
rule          F        is not sent at F; it is sent at R, with its true since, if it still holds
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from schemas.control import content_hash
from tests.auditor.scenarios import NPS, component, model
from tests.scenarios.timeline import (
    Story,
    Tree,
    facts,
    instant,
    login,
    measured,
    millis,
    payment,
    policy_of,
    run,
    ticket,
    visit,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

RISK: Final[Tree] = {"risk_page": {}}


def control(kind: str, when: str, name: str = "", **fields: Any) -> Tree:
    return {"kind": kind, "id": name or when, "effective_at": millis(when), **fields}


def pause(when: str) -> Tree:
    return control("pause", when)


def resume(when: str) -> Tree:
    return control("resume", when)


def policy(when: str, models: Sequence[Tree] = (NPS,), rules: Tree | None = None, **keys: Any) -> Tree:
    tree = policy_of(models, rules, **keys)
    return control("policy", when, hash=content_hash(tree, list(models)), policy=tree, models=list(models))


def sent(story: Story) -> list[str]:
    """Return the messages, each with the beginning of its episode."""
    return [
        f"{text} since {instant(m['since'])}" for text, m in zip(story.messages, story.alerts, strict=True)
    ]


# --- alerts are muted ----------------------------------------------------------------------------------------------


def test_what_fires_while_alerts_are_paused_is_told_at_their_resume_with_its_true_beginning() -> None:
    story = run(
        login("0 12:00"), visit("3 09:00", "/cancel"), login("6 12:00"),
        until="9 00:00", rules=RISK, control=[pause("2 00:00"), resume("5 08:00")],
    )  # fmt: skip
    assert sent(story) == ["5 08:00 firing info risk_page since 3 09:00"]
    assert story.view["episodes"][0]["told"] is True


def test_while_it_is_held_back_the_view_shows_it_as_not_told() -> None:
    story = run(
        login("0 12:00"), visit("3 09:00", "/cancel"), until="4 00:00", rules=RISK, control=[pause("2 00:00")]
    )
    assert sent(story) == []
    assert story.open_reasons == ["risk_page since 3 09:00"]
    assert story.view["episodes"][0]["told"] is False


def test_what_begins_and_ends_within_a_pause_is_never_told() -> None:
    story = run(
        login("0 12:00"), payment("3 09:00", "failed"), payment("3 10:00", "succeeded"),
        until="9 00:00", rules={"payment_trouble": {}}, control=[pause("2 00:00"), resume("5 00:00")],
    )  # fmt: skip
    assert sent(story) == []
    assert story.view["episodes"] == []


@pytest.mark.parametrize(
    ("when", "told"),
    [("1 23:59:59.999", "1 23:59:59.999"), ("2 00:00", "5 00:00"), ("4 23:59:59.999", "5 00:00"), ("5 00:00", "5 00:00")],
)  # fmt: skip
def test_a_pause_begins_with_its_first_millisecond_and_ends_before_that_of_the_resume(
    when: str, told: str
) -> None:
    story = run(
        login("0 12:00"), visit(when, "/cancel"), login("6 12:00"),
        until="9 00:00", rules=RISK, control=[pause("2 00:00"), resume("5 00:00")],
    )  # fmt: skip
    assert [(instant(m["effective_at"]), instant(m["since"])) for m in story.alerts] == [(told, when)]


def test_a_rise_within_a_pause_is_told_at_the_resume_and_an_end_at_once() -> None:
    control_lines = [pause("2 00:00"), resume("5 00:00"), pause("6 00:00")]
    story = run(
        login("0 12:00"), visit("1 09:00", "/cancel"), visit("3 09:00", "/cancel"), login("7 09:00"),
        until="30 00:00", rules=RISK, control=control_lines,
    )  # fmt: skip
    assert sent(story) == [
        "1 09:00 firing info risk_page since 1 09:00",
        "5 00:00 escalated warning risk_page since 1 09:00",
        "17 09:00 resolved warning risk_page by quiet_period since 1 09:00",
    ]


def test_a_rise_that_was_held_back_is_not_told_once_the_episode_has_ended() -> None:
    story = run(
        login("0 12:00"), visit("1 09:00", "/cancel"), visit("3 09:00", "/cancel"),
        until="30 00:00", rules=RISK, control=[pause("2 00:00"), resume("25 00:00")],
    )  # fmt: skip
    assert [m["status"] for m in story.alerts] == ["firing", "resolved"]


def test_what_fires_and_rises_within_a_pause_is_told_as_one_firing_of_its_severity() -> None:
    story = run(
        login("0 12:00"), visit("3 09:00", "/cancel"), visit("3 12:00", "/cancel"), login("6 12:00"),
        until="9 00:00", rules=RISK, control=[pause("2 00:00"), resume("5 00:00")],
    )  # fmt: skip
    assert sent(story) == ["5 00:00 firing warning risk_page since 3 09:00"]


def test_alerts_resumed_and_paused_anew_stay_held() -> None:
    story = run(
        login("0 12:00"), visit("3 09:00", "/cancel"), login("6 12:00"),
        until="9 00:00", rules=RISK,
        control=[pause("2 00:00"), resume("2 01:00"), pause("2 01:00"), pause("2 05:00"), resume("8 00:00")],
    )  # fmt: skip
    assert sent(story) == ["8 00:00 firing info risk_page since 3 09:00"]


def test_before_go_live_nothing_is_told_and_what_is_open_then_is_told_once() -> None:
    story = run(
        login("0 12:00"), visit("1 09:00", "/cancel"), visit("20 09:00", "/cancel"), login("26 12:00"),
        until="28 00:00", rules=RISK, control=[control("go_live", "25 00:00", "application")],
    )  # fmt: skip
    assert sent(story) == ["25 00:00 firing info risk_page since 20 09:00"]


def test_score_changes_go_on_while_alerts_are_paused() -> None:
    story = run(
        facts("3 09:00", nps=80), facts("3 10:00", nps=20), until="4 00:00", control=[pause("2 00:00")]
    )
    assert story.scores == ["3 09:00 80 high by fact", "3 10:00 20 low by fact"]


# --- a policy takes hold -------------------------------------------------------------------------------------------

TURNED: Final[Tree] = model(
    component("nps", ramp=[[0, 100], [100, 0]], metric={"feature": "fact", "source": "nps"})
) | {"version": 2}
"""The model upside down: who was high is low."""
TICKETS: Final[Tree] = model(measured("open_tickets", 10))
"""What keeps tickets, whatever the rules."""


def test_another_model_publishes_new_scores_with_its_instant_and_tells_nobody_of_a_drop() -> None:
    story = run(
        facts("0 09:00", nps=90), login("3 09:00"), login("9 09:00"),
        until="12 00:00", rules={"band_drop": {}},
        control=[policy("5 06:00", [TURNED], {"band_drop": {}})],
    )  # fmt: skip
    assert story.scores == ["0 09:00 90 high by fact", "5 06:00 10 low by model"]
    assert (story.changes[1]["old"]["band"], story.changes[1]["model_version"]) == ("high", 2)
    assert sent(story) == []
    assert story.view["episodes"] == []


def test_a_drop_of_the_customer_after_that_is_told_as_ever() -> None:
    story = run(
        facts("0 09:00", nps=10), facts("8 09:00", nps=90),
        until="9 00:00", rules={"band_drop": {}}, control=[policy("5 00:00", [TURNED], {"band_drop": {}})],
    )  # fmt: skip
    assert story.scores == ["0 09:00 10 low by fact", "5 00:00 90 high by model", "8 09:00 10 low by fact"]
    assert sent(story) == ["8 09:00 firing warning band_drop since 8 09:00"]


def test_the_old_side_names_bands_as_the_old_file_did_and_hysteresis_begins_anew() -> None:
    three = NPS | {
        "bands": [
            {"name": "red", "from": 0, "closed": "left"},
            {"name": "amber", "from": 30, "closed": "left"},
            {"name": "green", "from": 51, "closed": "left"},
        ]
    }
    story = run(
        facts("0 09:00", nps=50), login("6 00:00"), until="7 00:00", control=[policy("5 00:00", [three])]
    )
    assert [change["old"]["band"] for change in story.changes] == ["insufficient_evidence", "high"]
    assert story.scores[-1] == "5 00:00 50 amber by model"
    back = run(
        facts("0 09:00", nps=60),
        login("6 00:00"),
        until="8 00:00",
        models=[three],
        control=[policy("5 00:00", [NPS])],
    )
    assert [change["old"]["band"] for change in back.changes] == ["insufficient_evidence", "green"]


def test_a_model_that_stays_the_same_says_nothing_and_one_that_comes_begins() -> None:
    other = model(component("nps")) | {"model": "second"}
    story = run(
        facts("0 09:00", nps=80), login("6 00:00"), until="7 00:00", control=[policy("5 00:00", [other, NPS])]
    )
    assert [(c["model"], c["cause"]["kind"]) for c in story.changes] == [
        ("test", "fact"),
        ("second", "model"),
    ]
    assert story.changes[1]["old"] == {"score": None, "band": "insufficient_evidence", "coverage": 0.0}
    assert [score["model"] for score in story.view["scores"]] == ["second", "test"]


def test_a_model_without_evidence_publishes_nothing_as_it_comes() -> None:
    story = run(
        login("0 09:00"),
        login("6 00:00"),
        until="7 00:00",
        control=[policy("5 00:00", [NPS | {"version": 2}])],
    )
    assert story.scores == []


@pytest.mark.parametrize(("when", "fires"), [("4 23:59:59.999", False), ("5 00:00", True)])
def test_events_from_its_instant_on_are_read_under_the_new_policy(when: str, fires: bool) -> None:  # noqa: FBT001
    story = run(
        login("0 09:00"), visit(when, "/goodbye"), login("6 00:00"),
        until="7 00:00", rules=RISK, control=[policy("5 00:00", rules=RISK, pages={"cancel": ["/goodbye"]})],
    )  # fmt: skip
    assert bool(sent(story)) == fires


def test_an_event_of_its_very_instant_comes_after_it() -> None:
    story = run(
        facts("0 09:00", nps=90), facts("5 00:00", nps=20), login("4 09:00"), login("6 00:00"),
        until="7 00:00", control=[policy("5 00:00", [TURNED])],
    )  # fmt: skip
    assert story.scores == ["0 09:00 90 high by fact", "5 00:00 10 low by model", "5 00:00 80 high by fact"]


def test_it_takes_hold_by_the_clock_where_no_event_follows() -> None:
    story = run(facts("0 09:00", nps=90), until="5 00:00", control=[policy("5 00:00", [TURNED])])
    assert story.scores == ["0 09:00 90 high by fact", "5 00:00 10 low by model"]
    assert run(
        facts("0 09:00", nps=90), until="4 23:59:59.999", control=[policy("5 00:00", [TURNED])]
    ).scores == ["0 09:00 90 high by fact"]


def test_a_rule_that_comes_tells_nothing_of_what_holds_already_until_more_happens() -> None:
    one: Tree = {"ticket_trouble": {}}
    both: Tree = one | {"risk_page": {}}
    before = [ticket("1 09:00", "opened"), ticket("1 10:00", "escalated"), login("6 00:00")]
    story = run(*before, until="7 00:00", models=[TICKETS], control=[policy("5 00:00", [TICKETS], one)])
    assert sent(story) == []
    assert story.open_reasons == ["ticket_trouble since 4 23:58"]
    assert story.view["episodes"][0]["told"] is False
    more = run(
        *before, visit("8 09:00", "/cancel"),
        until="9 00:00", models=[TICKETS], control=[policy("5 00:00", [TICKETS], both)],
    )  # fmt: skip
    assert sent(more) == ["8 09:00 firing warning risk_page+ticket_trouble since 4 23:58"]
    ends = run(
        *before, ticket("8 09:00", "resolved"),
        until="9 00:00", models=[TICKETS], control=[policy("5 00:00", [TICKETS], one)],
    )  # fmt: skip
    assert sent(ends) == []
    assert ends.view["episodes"] == []


def test_an_episode_whose_rule_goes_is_resolved_by_the_policy() -> None:
    story = run(
        login("0 09:00"),
        visit("1 09:00", "/cancel"),
        login("6 00:00"),
        until="7 00:00",
        rules=RISK,
        control=[policy("5 00:00")],
    )
    assert sent(story) == [
        "1 09:00 firing info risk_page since 1 09:00",
        "5 00:00 resolved info  by policy since 1 09:00",
    ]
    held = run(
        login("0 09:00"), visit("1 09:00", "/cancel"), login("6 00:00"),
        until="7 00:00", rules=RISK, control=[pause("0 00:00"), policy("5 00:00")],
    )  # fmt: skip
    assert sent(held) == []


def test_a_reason_that_its_rules_new_numbers_do_not_hold_is_resolved_by_the_policy() -> None:
    story = run(
        login("0 09:00"), visit("1 09:00", "/cancel"), login("6 00:00"),
        until="7 00:00", rules=RISK, control=[policy("5 00:00", rules={"risk_page": {"quiet_days": 2}})],
    )  # fmt: skip
    assert sent(story)[1:] == ["5 00:00 resolved info risk_page by policy since 1 09:00"]


def test_a_severity_that_rises_by_the_policy_alone_is_not_told() -> None:
    story = run(
        login("0 09:00"), visit("1 09:00", "/cancel"), login("6 00:00"),
        until="20 00:00", rules=RISK, control=[policy("5 00:00", rules={"risk_page": {"severity": "critical"}})],
    )  # fmt: skip
    assert sent(story) == [
        "1 09:00 firing info risk_page since 1 09:00",
        "15 09:00 resolved critical risk_page by quiet_period since 1 09:00",
    ]


def test_a_silence_that_becomes_too_long_at_the_very_midnight_of_a_change_is_told() -> None:
    lane = [login(f"{day} 12:00") for day in range(10)]
    alone = run(*lane, until="60 00:00", rules={"silence": {}})
    when = instant(alone.alerts[0]["effective_at"])
    assert when.endswith(" 00:00")
    changed = run(
        *lane,
        until="60 00:00",
        rules={"silence": {}},
        control=[policy(when, rules={"silence": {}}, version=2)],
    )
    assert sent(changed) == sent(alone)


def test_policies_follow_each_other_and_of_one_instant_only_the_last_counts() -> None:
    third = NPS | {"version": 3}
    story = run(
        facts("0 09:00", nps=90), until="9 00:00",
        control=[
            policy("7 00:00", [third]), policy("5 00:00", [NPS | {"version": 2}]) | {"id": "a"}, policy("5 00:00", [TURNED]),
        ],
    )  # fmt: skip
    assert story.scores == ["0 09:00 90 high by fact", "5 00:00 10 low by model", "7 00:00 90 high by model"]


def test_what_comes_late_after_it_is_judged_at_its_instant_at_the_earliest() -> None:
    story = run(
        facts("0 09:00", nps=90), facts("5 00:00:30", nps=1) | {"account_id": "next"},
        facts("4 23:59", nps=20), facts("4 23:58", nps=30) | {"account_id": "new"},
        until="6 00:00", control=[policy("5 00:00", [TURNED])],
    )  # fmt: skip
    told = [
        f"{change['account_id']} {text}" for change, text in zip(story.changes, story.scores, strict=True)
    ]
    assert told == [
        "acme 0 09:00 90 high by fact",
        "acme 5 00:00 10 low by model",
        "next 5 00:00:30 99 high by fact",
        "acme 5 00:00 80 high by fact",
        "new 5 00:00 70 high by fact",
    ]


def test_a_first_policy_may_count_from_before_the_first_event() -> None:
    story = run(
        facts("0 09:00", nps=90),
        until="1 00:00",
        control=[control("pause", "0 00:00"), policy("0 00:00", [TURNED])],
    )
    assert story.scores == ["0 09:00 10 low by fact"]


def test_a_grace_that_changes_does_so_with_its_policy() -> None:
    story = run(
        facts("0 09:00", nps=90), login("5 00:00:01"), login("5 00:30"), until="6 00:00",
        control=[policy("5 00:00", [TURNED], grace_s=3600)],
    )  # fmt: skip
    assert story.scores[-1] == "5 00:00 10 low by model"
