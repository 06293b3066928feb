"""What a score change tells of the metrics: from contributions back to what was measured, exactly or not at all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import FEATURE_BY_NAME
from schemas.model_file import ModelFile
from schemas.words_en import ENGLISH
from schemas.words_es import SPANISH
from streams.change_text import ChangeText
from streams.inverse import UNLIMITED, Between, Curve, metrics_between, points_between
from streams.layout import NONE
from streams.measured import NO_VALUE
from tests.auditor.scenarios import component, model
from tests.models.test_changed_models import Acme
from tests.scenarios.timeline import Tree, facts, login, payment, run, visit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.component import Component
    from schemas.words import Words

# --- the inverse ---------------------------------------------------------------------------------------------------


def points_of(curve: Curve, x: int) -> int:
    """Return the points of a metric by the words of the specification, section 6."""
    for (x0, y0), (x1, y1) in zip(curve.anchors, curve.anchors[1:], strict=False):
        if x <= x0:
            return y0
        if x < x1:
            rise = 0 if curve.kind == "steps" else (y1 - y0) * (x - x0)
            return y0 + (2 * rise + x1 - x0) // (2 * (x1 - x0))
    return curve.anchors[-1][1] if x >= curve.anchors[-1][0] else curve.anchors[0][1]


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    xs = sorted(draw(st.sets(st.integers(-9, 40), min_size=1, max_size=5)))
    ys = draw(st.lists(st.integers(0, 60), min_size=len(xs), max_size=len(xs)))
    kind = draw(st.sampled_from(["ramp", "steps"]))
    least, most = draw(st.sampled_from([-UNLIMITED, 0])), draw(st.sampled_from([UNLIMITED, 30]))
    return Curve(kind, tuple(zip(xs, ys, strict=True)), least, most)


@given(curve=curves(), low=st.integers(-2, 60), more=st.integers(0, 9))
def test_the_metrics_of_some_points_are_all_that_give_them_if_they_are_next_to_each_other(
    curve: Curve, low: int, more: int
) -> None:
    there = range(max(curve.least, -20), min(curve.most, 60) + 1)
    giving = [x for x in there if low <= points_of(curve, x) <= low + more]
    found = metrics_between(curve, low, low + more)
    if giving and giving == list(range(giving[0], giving[-1] + 1)):
        assert found is not None
        assert (max(found.least, there[0]), min(found.most, there[-1])) == (giving[0], giving[-1])
        assert (found.least == curve.least, found.most == curve.most) == (
            giving[0] == there[0],
            giving[-1] == there[-1],
        )
    else:
        assert found is None


@given(
    weight=st.integers(1, 40), further=st.integers(0, 60), points=st.integers(0, 100_000), extra=st.booleans()
)
def test_points_lie_between_those_that_contribute_as_much(
    *, weight: int, further: int, points: int, extra: bool
) -> None:
    whole = weight + further
    sent = weight * points // whole + (extra and weight * points % whole > 0)
    low, high = points_between(sent, weight, whole)
    assert low <= points <= high
    for other in (low - 1, high + 1):  # and no others do
        floor, left = divmod(weight * other, whole)
        assert sent not in ((floor, floor + 1) if left else (floor,))


def test_a_category_is_told_only_if_no_other_one_gives_the_same() -> None:
    curve = Curve("table", ((0, 100), (1, 50), (2, 50)), 0, UNLIMITED)
    assert metrics_between(curve, 99, 101) == Between(0, 0)
    assert metrics_between(curve, 50, 50) is None
    assert metrics_between(curve, 60, 70) is None


# --- whatever was sent, what is told of before is true --------------------------------------------------------------


def sent(tree: ModelFile, points: Sequence[int]) -> list[int]:
    """Return the contributions of points (NONE: missing) by the words of the specification, section 6."""
    parts = [(group, part) for group in tree.dimensions for part in group.components]
    there = [y != NONE for y in points]
    weights = []
    for group, part in parts:
        weight = part.weight
        if tree.missing == "spread_in_dimension":
            weight *= group.weight
            for other in tree.dimensions:
                known = sum(
                    p.weight for (g, p), is_there in zip(parts, there, strict=True) if is_there and g is other
                )
                weight *= known if known and other is not group else 1
        weights.append(weight)
    shown = [w * y if y != NONE else 0 for w, y in zip(weights, points, strict=True)]
    whole = sum(w for w, is_there in zip(weights, there, strict=True) if is_there)
    whole = tree.denominator if tree.missing == "count" else whole
    score = (2 * sum(shown) + whole) // (2 * whole)
    found = [value // whole for value in shown]
    order = sorted((i for i in range(len(parts)) if there[i]), key=lambda i: (-(shown[i] % whole), i))
    for i in order[: score - sum(found)]:
        found[i] += 1
    return [value if is_there else NONE for value, is_there in zip(found, there, strict=True)]


LOGINS: Tree = {"feature": "count", "source": "logins", "window_days": 28}
THREE: Tree = model(
    component("one", 4, metric=LOGINS, ramp=[[0, 0], [12, 100]]),
    component(
        "two", 3, metric=LOGINS | {"source": "page_visits"}, ramp=[[2, 90], [9, 20], [11, 20], [14, 0]]
    ),
    component("three", 2, metric=LOGINS | {"source": "activity"}, steps=[[0, 0], [3, 55], [6, 100]]),
    min_coverage=0,
)
TWO_DIMENSIONS: Tree = THREE | {
    "dimensions": [
        {"name": "a", "weight": 4, "components": THREE["dimensions"][0]["components"][:1]},
        {"name": "b", "weight": 5, "components": THREE["dimensions"][0]["components"][1:]},
    ]
}


@pytest.mark.parametrize("missing", ["spread", "count", "spread_in_dimension"])
def test_what_is_told_of_before_is_what_was_measured(missing: str) -> None:
    tree = ModelFile.model_validate(TWO_DIMENSIONS | {"missing": missing})
    text, rng = ChangeText(tree, ENGLISH), random.Random(5)
    names = ("log-ins", "page visits", "activity")
    exact = within = 0
    for _ in range(400):
        then, now = ([rng.choice([NO_VALUE, *range(16)]) for _ in names] for _ in range(2))
        if then == [NO_VALUE] * 3:
            continue
        points = [
            NONE if x == NO_VALUE else _points(part, x) for part, x in zip(tree.components, then, strict=True)
        ]
        told = text.summary(0, 1, "low", "high", [9_000, 8_000, 7_000], sent(tree, points), now)
        for name, before, after in zip(names, then, now, strict=True):
            (part,) = (
                each
                for each in told.removesuffix(".").partition(": ")[2].split(", ")
                if each.startswith(name)
            )
            value = part.removeprefix(f"{name} ").partition(" in 28 days")[0]
            first, arrow, last = value.rpartition(" -> ")
            assert last == ("not known" if after == NO_VALUE else str(after)), told
            if not arrow:
                within += before == after
            elif first == "not known":
                assert before == NO_VALUE
            elif first.endswith(" or more"):
                assert before >= int(first.removesuffix(" or more"))
            elif first.startswith("at most "):
                assert NO_VALUE < before <= int(first.removeprefix("at most "))
            else:
                assert before == int(first)
                exact += 1
    assert exact > 300
    assert within > 20


def _points(part: Component, x: int) -> int:
    anchors = [(int(a), round(1000 * y)) for a, y in part.ramp or part.steps or []]
    return points_of(Curve("ramp" if part.ramp else "steps", tuple(anchors), 0, UNLIMITED), x)


# --- how each kind of metric reads ----------------------------------------------------------------------------------

WINDOW: Tree = {"window_days": 28}
RATIO: Tree = WINDOW | {"source": "activity", "lag_days": 56}
# the metric, its ramp, the points last sent (the component is all of its model: they are its contribution), the metric now
KINDS: list[tuple[Tree, list[list[float]], float, int, str, str]] = [
    ({"feature": "count", "source": "logins"} | WINDOW, [[0, 0], [20, 100]], 60, 5,
     "log-ins 12 -> 5 in 28 days", "inicios de sesión 12 -> 5 en 28 días"),
    ({"feature": "active_days", "source": "activity"} | WINDOW, [[0, 0], [20, 100]], 100, 1,
     "days with activity 20 or more -> 1 in 28 days", "días con actividad 20 o más -> 1 en 28 días"),
    ({"feature": "ratio"} | RATIO, [[0.1, 0], [1, 100]], 50, 417,
     "activity 55 % -> 41.7 % in 28 days against the 56 days before",
     "actividad 55 % -> 41,7 % en 28 días frente a los 56 días anteriores"),
    ({"feature": "pattern"} | RATIO, [[0, 0], [0.9, 100]], 100, 0,
     "activity 90 % or more -> 0 % in 28 days against the same weekdays in the 56 days before",
     "actividad 90 % o más -> 0 % en 28 días frente a los mismos días de la semana en los 56 días anteriores"),
    ({"feature": "since_last", "source": "logins"}, [[2, 100], [30, 0]], 100, 9,
     "days without log-ins at most 2 -> 9", "días sin inicios de sesión como mucho 2 -> 9"),
    ({"feature": "rhythm"}, [[1.5, 100], [3, 75]], 80, 1000,
     "silence against its usual rhythm 2.7 -> 1 time", "silencio frente a su ritmo habitual 2,7 -> 1 vez"),
    ({"feature": "fact", "source": "nps"}, [[-100, 0], [100, 100]], 35, 62_500,
     "NPS -30 -> 62.5", "NPS -30 -> 62,5"),
    ({"feature": "fact", "source": "savings_pct"}, [[0, 0], [80, 100]], 100, NO_VALUE,
     "savings reached (%) 80 or more -> not known", "ahorro logrado (%) 80 o más -> sin datos"),
    ({"feature": "decayed", "source": "logins", "half_life_days": 14} | WINDOW, [[0, 0], [10, 100]], 12.34, 7_300,
     "log-ins 1.2 -> 7.3 in 28 days, half as much every 14 days",
     "inicios de sesión 1,2 -> 7,3 en 28 días, la mitad por cada 14 días"),
    ({"feature": "sum", "source": "payments_succeeded"} | WINDOW, [[0, 0], [1_000, 100]], 0, 120_050,
     "amount of payments made 0 -> 120050 in 28 days in minor units",
     "importe de pagos realizados 0 -> 120050 en 28 días en unidades mínimas"),
    ({"feature": "users"} | WINDOW, [[0, 0], [10, 100]], 70, 8,
     "active users 7 -> 8 in 28 days", "usuarios activos 7 -> 8 en 28 días"),
    ({"feature": "user_share", "of_days": 91} | WINDOW, [[0, 0], [1, 100]], 25, 1_250,
     "users active 25 % -> 125 % in 28 days against those of 91 days",
     "usuarios activos 25 % -> 125 % en 28 días frente a los de 91 días"),
    ({"feature": "open_tickets"}, [[0, 100], [4, 0]], 0, 1, "open tickets 4 or more -> 1", "tickets abiertos 4 o más -> 1"),
    ({"feature": "mean", "source": "csat"} | WINDOW, [[1, 0], [5, 100]], 75, 3_125,
     "mean satisfaction with support 4 -> 3.1 in 28 days",
     "satisfacción media con el soporte 4 -> 3,1 en 28 días"),
    ({"feature": "key_features"} | WINDOW, [[0, 0], [1, 100]], 66.7, 333,
     "share of key features used 66.7 % -> 33.3 % in 28 days",
     "proporción de funciones clave usadas 66,7 % -> 33,3 % en 28 días"),
    ({"feature": "first_use"}, [[0, 100], [60, 0]], 50, 45_333,
     "days to the first use of key features 30 -> 45.3", "días hasta el primer uso de las funciones clave 30 -> 45,3"),
    ({"feature": "late_payments"}, [[0, 100], [3, 0]], 100, 2, "late payments 0 -> 2", "pagos atrasados 0 -> 2"),
]  # fmt: skip


def sentence(tree: Tree, contribution: float | None, now: int, words: Words) -> str:
    """Return the sentence of a change of a model of one component, without its scores."""
    file = ModelFile.model_validate(tree)
    before = [NONE if contribution is None else round(1000 * contribution)]
    told = ChangeText(file, words).summary(50_000, 40_000, "low", "low", [-10_000], before, [now])
    return told.partition(": ")[2]


@pytest.mark.parametrize(("metric", "ramp", "contribution", "now", "english", "spanish"), KINDS)
def test_each_kind_of_metric_reads(
    metric: Tree, ramp: list[list[float]], contribution: float, now: int, english: str, spanish: str
) -> None:
    tree = model(component("it", metric=metric, ramp=ramp))
    assert sentence(tree, contribution, now, ENGLISH) == f"{english} (-10)."
    assert sentence(tree, contribution, now, SPANISH) == f"{spanish} (-10)."


#   nothing in the earlier window counts as 1,000,000 thousandths
@pytest.mark.parametrize(
    ("now", "told"), [(9_999, "999.9 %"), (10_000, "1000 % or more"), (1_000_000, "1000 % or more")]
)
def test_a_share_of_many_times_is_not_told_more_exactly(now: int, told: str) -> None:
    tree = model(component("it", metric={"feature": "ratio"} | RATIO, ramp=[[0.1, 0], [1, 100]]))
    assert sentence(tree, 50, now, ENGLISH).startswith(f"activity 55 % -> {told} in 28 days")


def test_a_silence_that_reads_as_before_is_told_once() -> None:
    tree = model(component("it", metric={"feature": "rhythm"}, ramp=[[1.5, 100], [3, 75]]))
    assert sentence(tree, 80, 2_749, ENGLISH) == "silence against its usual rhythm 2.7 times (-10)."
    assert sentence(tree, 80, 2_750, ENGLISH) == "silence against its usual rhythm 2.7 -> 2.8 times (-10)."


def test_all_kinds_are_there() -> None:
    assert {metric["feature"] for metric, *_ in KINDS} == set(FEATURE_BY_NAME)


#   on a ramp over 200,000 a year a thousandth of a point is 2 a year, on one over 200 it is less than what is told
@pytest.mark.parametrize(
    ("top", "contribution", "now", "told"),
    [
        (200_000, 50, 90_000_000, "90000"),
        (200_000, 100, 90_000_000, "199999 or more -> 90000"),
        (200, 50, 90_049, "100 -> 90"),
        (200, 50, 90_050, "100 -> 90.1"),
        (200, 50, 100_002, "100"),  # it reads as before
        (200, 0, 49, "0"),
        (200, 0, 50, "0 -> 0.1"),  # its range begins at 0, so no points are 0
        (200, 25.025, 0, "0"),  # 50.049 to 50.051: they do not read alike
    ],
)
def test_a_number_has_at_most_one_decimal_and_is_told_if_all_that_it_may_be_reads_alike(
    top: int, contribution: float, now: int, told: str
) -> None:
    tree = model(component("it", metric={"feature": "fact", "source": "arr"}, ramp=[[0, 0], [top, 100]]))
    assert sentence(tree, contribution, now, ENGLISH) == f"annual recurring revenue {told} (-10)."


def test_a_category_reads_in_words() -> None:
    sentiment: Tree = {"metric": {"feature": "fact", "source": "csm_sentiment"}}
    whole = model(component("it", **sentiment, table={"good": 100, "neutral": 50, "poor": 0}))
    assert sentence(whole, 100, 2, ENGLISH) == "judgement of its customer-success manager good -> poor (-10)."
    assert sentence(whole, 50, 0, SPANISH) == "criterio de su gestor de cuenta neutral -> bueno (-10)."
    same = model(component("it", **sentiment, table={"good": 100, "neutral": 100, "poor": 0}))
    assert sentence(same, 100, 2, ENGLISH) == "judgement of its customer-success manager poor (-10)."


#   on a middle step, in the middle of a plateau, between points that several metrics give: only what is now
@pytest.mark.parametrize(
    ("curve", "contribution", "now", "told"),
    [
        ({"steps": [[0, 100], [1, 40], [3, 0]]}, 100, 1, "log-ins 0 -> 1"),
        ({"steps": [[0, 100], [1, 40], [3, 0]]}, 40, 0, "log-ins 0"),
        ({"steps": [[0, 100], [1, 40], [3, 0]]}, 0, 0, "log-ins 3 or more -> 0"),
        ({"ramp": [[0, 0], [5, 50], [8, 50], [10, 100]]}, 50, 9, "log-ins 9"),
        ({"ramp": [[0, 0], [5, 50], [8, 50], [10, 100]]}, 40, 9, "log-ins 4 -> 9"),
        ({"ramp": [[0, 0], [5, 50], [10, 0]]}, 30, 9, "log-ins 9"),
        ({"ramp": [[3, 0], [5, 100]]}, 0, 4, "log-ins at most 3 -> 4"),
        # the value now may be the one before
        ({"ramp": [[3, 0], [5, 100]]}, 0, 2, "log-ins 2"),
        ({"ramp": [[3, 0], [5, 100]]}, 50, 4, "log-ins 4"),
        # nothing gives 51 points: another file sent it
        ({"ramp": [[3, 0], [5, 100]]}, 51, 5, "log-ins 5"),
    ],
)  # fmt: skip
def test_before_is_told_only_as_far_as_it_follows(
    curve: Tree, contribution: float, now: int, told: str
) -> None:
    tree = model(component("it", metric=LOGINS, **curve))
    assert sentence(tree, contribution, now, ENGLISH) == f"{told} in 28 days (-10)."


# --- through the core -----------------------------------------------------------------------------------------------


def summaries(*events: Tree, until: str, **world: Any) -> list[str]:
    return [change["summary"] for change in run(*events, until=until, **world).changes]


def fine(*parts: Tree, **changes: Any) -> Tree:
    return model(*parts, min_change=1, **changes)


#   one payment is due on day 2: late at once, and paid on day 6
def test_a_late_payment_is_told_when_it_is_late_and_when_it_is_paid() -> None:
    late = component("it", metric={"feature": "late_payments"}, ramp=[[0, 100], [2, 0]])
    events = [
        login("0 12:00"),
        payment("0 13:00", "due", due_at="2026-01-07T12:00:00Z"),
        payment("6 12:00", "succeeded"),
    ]
    assert summaries(*events, until="9 00:00", models=[fine(late)]) == [
        "test none -> 100 (insufficient evidence -> high): late payments 0 (+100).",
        "test 100 -> 50 (high -> high): late payments 0 -> 1 (-50).",
        "test 50 -> 100 (high -> high): late payments 1 -> 0 (+50).",
    ]


#   NPS ends: its weight is spread, the visits stay as many as they are
def test_what_moves_only_by_weights_keeps_its_value() -> None:
    visits = component("it", 3, metric=LOGINS | {"source": "upgrade_pages"}, ramp=[[0, 0], [10, 100]])
    told = [
        facts("0 12:00", nps=90),
        *(visit(f"{day} 12:00", "/pricing") for day in (1, 2)),
        facts("3 12:00", nps=None),
        visit("4 12:00", "/pricing"),
        facts("5 12:00", nps=20),
    ]
    # (90 + 3 * 0) / 4 = 22.5; (90 + 3 * 10) / 4 = 30; 37.5; without NPS 20; 30; (20 + 3 * 30) / 4 = 27.5
    assert summaries(*told, until="6 00:00", models=[fine(component("nps"), visits)]) == [
        "test none -> 22.5 (insufficient evidence -> low): NPS 90 (+22.5).",
        "test 22.5 -> 30 (low -> low): visits to upgrade or pricing pages 0 -> 1 in 28 days (+7.5).",
        "test 30 -> 37.5 (low -> low): visits to upgrade or pricing pages 1 -> 2 in 28 days (+7.5).",
        "test 37.5 -> 20 (low -> low): NPS 90 -> not known (-22.5), visits to upgrade or pricing pages 2 in 28 days (+5).",
        "test 20 -> 30 (low -> low): visits to upgrade or pricing pages 2 -> 3 in 28 days (+10).",
        "test 30 -> 27.5 (low -> low): visits to upgrade or pricing pages 3 in 28 days (-7.5), NPS not known -> 20 (+5).",
    ]


#   what was measured when it was last sent, not what was in between: 40 and 41 are too near to be told
def test_before_is_what_was_last_sent() -> None:
    told = [facts(f"{day} 12:00", nps=nps) for day, nps in enumerate((40, 41, 42, 46))]
    assert summaries(*told, until="5 00:00", models=[model(component("nps"), min_change=5)]) == [
        "test none -> 40 (insufficient evidence -> low): NPS 40 (+40).",
        "test 40 -> 46 (low -> low): NPS 40 -> 46 (+6).",
    ]


#   pinned to 70: that is manual judgement, the fact stays what it is, and both are told when both move
def test_a_pin_hides_no_metric() -> None:
    told = [
        facts("0 12:00", nps=40),
        facts("1 12:00", override__test=70, nps=30),
        facts("2 12:00", override__test=None),
    ]
    assert summaries(*told, until="5 00:00", models=[fine(component("nps"))]) == [
        "test none -> 40 (insufficient evidence -> low): NPS 40 (+40).",
        "test 40 -> 70 (low -> high): manual judgement (+40), NPS 40 -> 30 (-10).",
        "test 70 -> 30 (high -> low): manual judgement (-40).",
    ]


#   without enough evidence nothing is known of before; with a category that the table leaves out neither
def test_before_is_not_told_without_evidence_and_of_a_table_that_leaves_a_category_out() -> None:
    some = component(
        "csm", metric={"feature": "fact", "source": "csm_sentiment"}, table={"good": 100, "poor": 20}
    )
    told = [
        facts("0 12:00", nps=40, csm_sentiment="neutral"),
        facts("1 12:00", csm_sentiment="poor"),
        facts("2 12:00", nps=None, csm_sentiment=None),
        facts("3 12:00", nps=50),
    ]
    assert summaries(*told, until="5 00:00", models=[fine(component("nps"), some)]) == [
        "test none -> 40 (insufficient evidence -> low): NPS 40 (+40).",
        "test 40 -> 30 (low -> low): NPS 40 (-20), judgement of its customer-success manager poor (+10).",
        "test 30 -> none (low -> insufficient evidence).",
        "test none -> 50 (insufficient evidence -> high): NPS 50 (+50).",
    ]


#   the file is edited between two starts: 40 points were an NPS of 40, by the new curve they would be one of 80
def test_what_another_file_measured_is_not_told_until_the_model_has_sent_again() -> None:
    old = fine(component("nps"))
    new = fine(component("nps", metric={"feature": "fact", "source": "nps"}, ramp=[[0, 0], [200, 100]]))
    acme = Acme(old).told(nps=40).change_to(new).told(nps=60).told(nps=90)
    acme.change_to(new).told(nps=70)
    assert [change["summary"] for change in acme.changes] == [
        "test none -> 40 (insufficient evidence -> low): NPS 40 (+40).",
        "test 40 -> 20 (low -> low): NPS 40 (-20).",
        "test 20 -> 30 (low -> low): NPS 40 -> 60 (+10).",
        "test 30 -> 45 (low -> low): NPS 60 -> 90 (+15).",
        "test 45 -> 35 (low -> low): NPS 90 -> 70 (-10).",
    ]


AS_IT_IS: Tree = {"ramp": [[0, 0], [100, 100]]}


@pytest.mark.parametrize(
    "other",
    [
        fine(component("nps"), missing="count"),
        fine(component("nps", 2)),
        fine(component("nps", metric={"feature": "fact", "source": "arr"}, **AS_IT_IS)),
        fine(
            component("nps", metric={"feature": "fact", "source": "nps"}, ramp=[[0, 0], [50, 50], [100, 100]])
        ),
    ],
)
def test_whatever_it_measures_or_weighs_otherwise_makes_it_another_file(other: Tree) -> None:
    acme = Acme(fine(component("nps"))).told(nps=40, arr=40).change_to(other).told(nps=60, arr=60)
    assert acme.changes[-1]["summary"].endswith((": NPS 60 (+20).", ": annual recurring revenue 60 (+20)."))


#   a cut, a margin or a name of a band is nothing that is measured
def test_a_file_that_measures_the_same_goes_on() -> None:
    cut = fine(component("nps")) | {"hysteresis": 3, "version": 2, "dwell_h": 0}
    acme = Acme(fine(component("nps"))).told(nps=40).change_to(cut).told(nps=60)
    assert acme.changes[-1]["summary"] == "test 40 -> 60 (low -> high): NPS 40 -> 60 (+20)."


def test_a_silence_is_told_day_by_day() -> None:
    story = run(
        *(login(f"{day} 12:00") for day in range(40)), until="45 00:00",
        models=[fine(component("it", metric={"feature": "since_last", "source": "logins"}, ramp=[[0, 100], [20, 0]]))],
    )  # fmt: skip
    assert story.changes[-1]["summary"] == "test 75 -> 70 (high -> high): days without log-ins 5 -> 6 (-5)."
