"""Files with several mistakes, of single values and of what goes together: each is told once, at its line, and nothing else."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from agents.program import policy_with_models
from schemas.errors import ConfigError
from schemas.policy import Policy
from schemas.yaml_file import MISTAKES_TOLD, parse_yaml
from tests.auditor.scenarios import DEFAULT_POLICY
from tests.models.test_files import MISTAKES, TEXTS, refused

if TYPE_CHECKING:
    from pathlib import Path

MINE = """\
model: mine
version: 1
scale: [0, 100]
denominator: 10
min_coverage: 0.5
missing: spread
applies_to: {kind: [customer]}
dimensions:
  - name: usage
    weight: 6
    components:
      - {name: logins, weight: 4, metric: {feature: count, source: logins, window_days: 28}, ramp: [[0, 0], [10, 100]]}
      - {name: users, weight: 2, metric: {feature: users, window_days: 28}, steps: [[0, 0], [5, 100]]}
  - name: relationship
    weight: 4
    components:
      - {name: nps, weight: 3, metric: {feature: fact, source: nps}, ramp: [[-100, 0], [100, 100]]}
      - {name: csm, weight: 1, metric: {feature: fact, source: csm_sentiment}, table: {good: 100, poor: 0}}
bands:
  - {name: low, from: 0, closed: left}
  - {name: middle, from: 40, closed: left}
  - {name: high, from: 70, closed: left}
hysteresis: 2
dwell_h: 24
min_change: 5
"""


def told(text: str) -> list[str]:
    """Return the mistakes of a model file, a line each from its number on; the count in the head is right."""
    head, *lines = refused(text).splitlines()
    assert head == f"mine: {len(lines)} mistake(s)"
    return [line.removeprefix("  line ") for line in lines]


def with_mistakes(*changes: tuple[str, str]) -> str:
    """Return the file with each of these exchanged."""
    text = MINE
    for good, bad in changes:
        assert text.count(good) == 1, good
        text = text.replace(good, bad)
    return text


def test_the_file_itself_has_none() -> None:
    with pytest.raises(pytest.fail.Exception):
        refused(MINE)


def test_six_mistakes_of_both_kinds_are_told_in_one_go() -> None:
    text = with_mistakes(
        ("version: 1", "version: one"),
        ("denominator: 10", "denominator: 12"),
        ("window_days: 28}, ramp", "window_days: 30}, ramp"),
        (
            "metric: {feature: users, window_days: 28}",
            "metric: {feature: users, source: logins, window_days: 28}",
        ),
        ("good: 100", "god: 100"),
        ("from: 70", "from: 30"),
    )
    assert told(text) == [
        "2: version: Input should be a valid integer (found 'one')",
        "4: denominator: the weights add up to 10, the denominator is 12 (found 12)",
        "12: dimensions.0.components.0.metric.window_days: Input should be a multiple of 7 (found 30)",
        "13: dimensions.0.components.1.metric.source: feature 'users' takes no source (found 'logins')",
        "18: dimensions.1.components.1.table.god: unknown category 'god'; known: good, neutral, poor (found 100)",
        "22: bands.2: bands must be in rising order of `from`: 'high' starts at 30, 'middle' before it at 40 "
        "(found {'name': 'high', 'from': 30, 'closed': 'left'})",
    ]


def test_every_point_of_every_curve_is_judged() -> None:
    text = with_mistakes(
        ("[[0, 0], [10, 100]]", "[[0, -1], [10, 100], [8, 101], [.nan, 50], [20, 7.0005]]"),
        ("[5, 100]]", "[0.5, 100]]"),
    )
    assert [line.partition(" (found")[0] for line in told(text)] == [
        "12: dimensions.0.components.0.ramp.0.1: Input should be greater than or equal to 0",
        "12: dimensions.0.components.0.ramp.2: the x of ramp and steps must rise strictly; 8 follows on 10",
        "12: dimensions.0.components.0.ramp.2.1: Input should be less than or equal to 100",
        "12: dimensions.0.components.0.ramp.3.0: Input should be a finite number",
        "12: dimensions.0.components.0.ramp.4.1: 7.0005 has more than three decimals; scores are exact to 0.001, round it",
        "13: dimensions.0.components.1.steps.1: x 0.5 is finer than feature 'users' is measured; write multiples of 1",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        # a misspelt key is not also missing, and what it holds is not judged
        ([("denominator: 10", "denominatr: 12")], ["4: denominatr: unknown key; known: model, "]),
        ([("bands:", "band:")], ["19: band: unknown key; known: model, "]),
        ([("steps:", "step:")], ["13: dimensions.0.components.1.step: unknown key; known: name, "]),
        ([("weight: 2, metric", "wieght: 2, metric")], ["13: dimensions.0.components.1.wieght: unknown key; known: name, "]),
        # a weight that is none adds up to nothing
        ([("weight: 2,", "weight: -2,")], ["13: dimensions.0.components.1.weight: Input should be greater than or equal to 1"]),
        # a dimension's own weight that is wrong makes no denominator wrong, when the components' weights add up to that
        ([("weight: 6", "weight: 7")], ["10: dimensions.0.weight: the components' weights add up to 6, the dimension says 7"]),
        ([("weight: 6", "weight: 7"), ("denominator: 10", "denominator: 13")],
         ["4: denominator: the weights add up to 11, the denominator is 13",
          "10: dimensions.0.weight: the components' weights add up to 6, the dimension says 7"]),
        # a source that is unknown says nothing of the curve, and neither does a feature
        ([("source: csm_sentiment", "source: csm")],
         ["18: dimensions.1.components.1.metric.source: unknown source 'csm'; known: kind, "]),
        ([("{feature: fact, source: csm_sentiment}", "{feature: fakt, source: csm_sentiment}")],
         ["18: dimensions.1.components.1.metric.feature: unknown feature 'fakt'; known: count, "]),
        # a curve of the wrong kind has no categories to be known
        ([("source: csm_sentiment", "source: arr")],
         ["18: dimensions.1.components.1.table: a table goes with a categorical fact, ramp and steps with a number"]),
        ([("table: {good: 100, poor: 0}", "table: {god: 100, por: 0}")],
         ["18: dimensions.1.components.1.table.god: unknown category 'god'; known: good, neutral, poor",
          "18: dimensions.1.components.1.table.por: unknown category 'por'; known: good, neutral, poor"]),
        # nothing lies on a scale that does not rise
        ([("scale: [0, 100]", "scale: [100, 0]")], ["3: scale: the scale must rise, from 100 to more than that"]),
        # bands from best to worst are one mistake
        ([("from: 0", "from: 71"), ("from: 70", "from: 0")],
         ["19: bands: bands must be in rising order of `from`; these fall, turn them round"]),
        # a cut that is none overlaps with nothing
        ([("from: 40", "from: forty"), ("name: high", "name: low")],
         ["21: bands.1.from: Input should be a valid number",
          "22: bands.2.name: two bands have the name 'low'; give each its own"]),
        # what YAML cannot read, and keys that stand twice, hide nothing
        ([("dwell_h: 24", "dwell_h: 24\ndwell_h: 2026-02-30"),
          ("name: users", "name: logins"), ("denominator: 10", "denominator: 9")],
         ["4: denominator: the weights add up to 10, the denominator is 9",
          "13: dimensions.0.components.1.name: two components have the name 'logins'; give each its own",
          "25: the key 'dwell_h' stands here a second time; keep one of the two",
          "25: found '2026-02-30', which is no timestamp; mend it, or quote it if it is text"]),
        # a dimension that is none
        ([("  - name: relationship\n", "  - relationship\n  - name: relationship\n"), ("name: csm,", "name: nps,")],
         ["14: dimensions.1: Input should be a valid dictionary or instance of Dimension",
          "19: dimensions.2.components.1.name: two components have the name 'nps'; give each its own"]),
        # both mistakes of an argument that is given and of one that is not
        ([("{feature: users, window_days: 28}", "{feature: ratio, source: logins, of_days: 28}")],
         ["13: dimensions.0.components.1.metric: feature 'ratio' needs lag_days",
          "13: dimensions.0.components.1.metric: feature 'ratio' needs window_days",
          "13: dimensions.0.components.1.metric.of_days: feature 'ratio' takes no of_days"]),
    ],
)  # fmt: skip
def test_nothing_is_told_that_only_follows_from_another_mistake(
    changes: list[tuple[str, str]], expected: list[str]
) -> None:
    found = told(with_mistakes(*changes))
    assert len(found) == len(expected), found
    for line, start in zip(found, expected, strict=True):
        assert line.startswith(start), found


EXCHANGED = [
    ("  fit:\n", "  engagement_:\n"),
    ("\n  engagement:\n", "\n  fit:\n"),
    ("\n  engagement_:\n", "\n  engagement:\n"),
]


def test_axes_that_are_exchanged_are_one_mistake() -> None:
    text = TEXTS["expansion"]
    for good, bad in EXCHANGED:
        text = text.replace(good, bad)
    (line,) = told(text)
    assert "the axes of a grid are the model's two dimensions in their order, fit, engagement" in line


def test_what_is_repeated_by_reference_is_told_once() -> None:
    metric = "metric: {feature: count, source: logins, window_days: 28}"
    text = with_mistakes(
        (metric, "metric: &it {feature: count, source: login, window_days: 28}"),
        ("metric: {feature: users, window_days: 28}", "metric: *it"),
    )
    (line,) = told(text)
    assert line.startswith(
        "12: dimensions.0.components.0.metric.source: unknown source 'login'; known: activity, "
    )


def test_no_more_than_some_are_told() -> None:
    points = ", ".join(f"[{x}, 101]" for x in range(30))
    text = MINE
    for curve in ("ramp: [[0, 0], [10, 100]]", "steps: [[0, 0], [5, 100]]", "ramp: [[-100, 0], [100, 100]]"):
        text = text.replace(curve, f"{curve.partition(':')[0]}: [{points}]")
    text = text.replace("table: {good: 100, poor: 0}", f"ramp: [{points}]")
    lines = refused(text).splitlines()
    assert lines[0] == "mine: 121 mistake(s)"
    assert len(lines) == 1 + MISTAKES_TOLD + 1
    assert lines[-1] == "  and 21 more"


Mistake = tuple[str, str, str, str | None, str]


def apart(name: str, one: Mistake, other: Mistake) -> bool:
    """Tell whether two mistakes can stand in one file: neither takes the other's place."""
    text, (good, bad), (right, wrong) = TEXTS[name], one[1:3], other[1:3]
    both = text.replace(good, bad, 1).replace(right, wrong, 1)
    return both == text.replace(right, wrong, 1).replace(good, bad, 1) and text.index(good) != text.index(
        right
    )


PAIRS = [
    pair
    for pair in [
        (name, one, other)
        for name in ("guide", "value", "expansion")
        for one, other in combinations(
            [m for m in MISTAKES if m[0] == name and "\n" not in m[2] and "*" not in m[2]], 2
        )
    ][::2]
    if apart(*pair)
]
TOGETHER = [
    {"weight: 13", "denominator: 101"},  # the components' weights do add up to it
    {"name: evaluate", "from: 25"},  # the one names the band that the other tells of
    {'"yess": 4', "scale: [0, 3]"},  # likewise the category
    {"from: 5", "scale: [0, 101]"},  # the scale is told in the one, and no scale to lie on
    {"from: 5", "scale: [0, 3]"},
    {"from: 5", "scale: [1, 4]"},
]
"""Of these together something else is told than of each by itself, as it should be."""


@pytest.mark.parametrize(("name", "one", "other"), PAIRS)
def test_two_mistakes_are_told_as_each_by_itself(name: str, one: Mistake, other: Mistake) -> None:
    text = TEXTS[name]
    first, second = (text.replace(each[1], each[2], 1) for each in (one, other))
    both = first.replace(other[1], other[2], 1)
    alone, found = (
        {re.sub(r" \(found.*", "", line) for part in parts for line in told(part)}
        for parts in ((first, second), (both,))
    )
    assert (found == alone) == ({one[2], other[2]} not in TOGETHER)


def refused_policy(text: str) -> list[str]:
    """Return the mistakes of a policy."""
    with pytest.raises(ConfigError) as mistake:
        parse_yaml(text, Policy, name="mine")
    return [
        line.removeprefix("  line ").partition(" (found")[0] for line in str(mistake.value).splitlines()[1:]
    ]


def test_every_mistake_of_a_policy_is_told() -> None:
    text = """\
policy: mine
version: 1
models: [retention, Health, retention, value]
shadow: [value, retention, value]
time_zone: Europe Madrid
activity: [login, dancing, singing]
pages: {cancel: [/cancel*], exit: [/exit]}
ticket_tags: {feature_request: [""], bugs: [bug]}
rhythm: {unit: hour, horizon_days: 0}
calendar: {weekend: [saturday, sunnday]}
rules:
  decline: {weeks: 12, baseline_weeks: 17, drop: 2}
  users_leaving: {window_days: 91, of_days: 91}
  reengaged: {active_days: 20, quiet_days: 14}
  band_drop: {points: 1.234}
"""
    assert refused_policy(text) == [
        "3: models.1: String should match pattern '^[a-z][a-z0-9_-]{0,63}$'",
        "3: models.2: the model 'retention' is listed twice; remove one of the two",
        "4: shadow.1: shadow names 'retention', the first of models, on which band_drop and the headline rest; "
        "let a live model be the first",
        "4: shadow.2: the model 'value' is listed twice; remove one of the two",
        "5: time_zone: time_zone 'Europe Madrid' is not a zone name such as Europe/Madrid",
        "6: activity.1: unknown activity 'dancing'; known: login, login_failed, page_visit, ticket_opened, "
        "ticket_commented, ticket_escalated, ticket_resolved, ticket_reopened, payment_due, payment_succeeded, "
        "payment_failed, payment_refunded, payment_disputed",
        "6: activity.2: unknown activity 'singing'; known: login, login_failed, page_visit, ticket_opened, "
        "ticket_commented, ticket_escalated, ticket_resolved, ticket_reopened, payment_due, payment_succeeded, "
        "payment_failed, payment_refunded, payment_disputed",
        "7: pages.exit: unknown page kind 'exit'; known: cancel, refund, upgrade, pricing, complementary",
        "8: ticket_tags.feature_request.0: String should have at least 1 character",
        "8: ticket_tags.bugs: unknown kind of tickets 'bugs'; known: feature_request, stability",
        "9: rhythm.horizon_days: Input should be greater than or equal to 1",
        "10: calendar: a calendar goes with `rhythm: {unit: day}`; remove one of the two",
        "10: calendar.weekend.1: Input should be 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', "
        "'saturday' or 'sunday'",
        "12: rules.decline: weeks and baseline_weeks span 203 days; at most 128 are kept",
        "12: rules.decline.drop: Input should be less than or equal to 1",
        "13: rules.users_leaving: of_days 91 must be longer than window_days 91",
        "14: rules.reengaged: active_days 20 cannot be reached in quiet_days 14",
        "15: rules.band_drop.points: 1.234 has more than two decimals; daily scores are kept in hundredths",
    ]


def test_the_mistakes_of_what_may_be_switched_off() -> None:
    text = """\
policy: mine
version: one
models: [retention]
activity: [login, page_visit]
stalled_sources: {inputs: [logins, logins, faxes, payments], stalled_below: 0.5, back_from: 0.1}
brake: off
"""
    assert refused_policy(text) == [
        "2: version: Input should be a valid integer",
        "5: stalled_sources.inputs.1: the input 'logins' is listed twice; remove one of the two",
        "5: stalled_sources.inputs.2: unknown input 'faxes'; known: logins, page-visits, payments, tickets",
        "5: stalled_sources.inputs.3: stalled_sources names payments, and none of its events is activity; see activity",
        "5: stalled_sources.back_from: back_from 0.1 is below stalled_below 0.5; an input would be both",
    ]
    assert len(refused_policy(text.replace("brake: off", "brake: fast"))) == 6
    switched_off = (
        "policy: mine\nversion: one\nmodels: [retention]\nactivity: [login]\nstalled_sources: off\n"
    )
    assert refused_policy(switched_off) == ["2: version: Input should be a valid integer"]


def test_the_mistakes_of_a_policy_are_told_with_those_of_its_models(tmp_path: Path) -> None:
    policy = DEFAULT_POLICY.read_text().replace("grace_s: 120", "grace_s: -1\ntime_zone: Europe/Nowhere")
    policy = policy.replace("models: [", "models: [mine, absent, ")
    (tmp_path / "policy.yaml").write_text(policy)
    (tmp_path / "mine.yaml").write_text(with_mistakes(("denominator: 10", "denominator: 11")))
    with pytest.raises(ConfigError) as mistake:
        policy_with_models(str(tmp_path / "policy.yaml"))
    message = str(mistake.value)
    for part in (
        "grace_s: Input should be greater than or equal to 0 (found -1)",
        "line 4: denominator: the weights add up to 10, the denominator is 11 (found 11)",
        "the policy enables model 'absent', which does not exist.",
        "time_zone 'Europe/Nowhere' is not known.",
    ):
        assert message.count(part) == 1, message
    assert message.count("mistake(s)") == 2
