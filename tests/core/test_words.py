"""The catalogues of messages: the same in every language, every message used; and the sentence of a score change."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import fields
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from msgspec import structs

from agents.explain_text import explanation_text, missing_text, why_text
from agents.explanation import ComponentTold, EpisodeTold, Explanation, IfActive, ModelTold, Move, Step
from agents.program import known_models, load_model
from agents.zones import ZoneDatabase
from schemas.catalogue import FACTS, FEATURES, MEASUREMENTS, READABLE_FACTS, SOURCES
from schemas.component import Metric, known_sources
from schemas.examples import OUTPUT_EXAMPLES
from schemas.outputs import ScoreChange
from schemas.reasons import INSUFFICIENT_EVIDENCE, NOT_APPLICABLE, Missing, Severity, Status
from schemas.topics import Output
from schemas.words import Plural, Words
from schemas.words_en import ENGLISH
from schemas.words_es import SPANISH
from streams.change_text import ChangeText
from streams.layout import NONE
from streams.measured import metric_text
from streams.plan import compile_program
from streams.wording import CATALOGUES, ENDS, summary
from tests.core.conftest import Machine, company
from tests.core.test_wording import OPEN, OVER
from tests.scenarios.timeline import facts, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.plan import Program

LANGUAGES: Final = pytest.mark.parametrize("words", CATALOGUES.values(), ids=CATALOGUES)
ARGUMENTS: Final = {"window_days": 28, "lag_days": 56, "of_days": 91, "half_life_days": 7}


def messages(words: Words) -> dict[str, str]:
    """Return all messages by name; those of mappings and the forms of a plural by `name.key`."""
    found: dict[str, str] = {}
    for field in fields(words):
        value = getattr(words, field.name)
        if isinstance(value, Plural):
            value = value._asdict()
        found |= (
            {f"{field.name}.{key}": text for key, text in value.items()}
            if isinstance(value, Mapping)
            else {field.name: value}
        )
    return found


def placeholders(message: str) -> list[str]:
    return sorted(name for _, name, _, _ in Formatter().parse(message) if name is not None)


def test_all_languages_have_the_same_messages_with_the_same_placeholders() -> None:
    english, spanish = messages(ENGLISH), messages(SPANISH)
    assert set(english) == set(spanish)
    assert {name: placeholders(text) for name, text in english.items()} == {
        name: placeholders(text) for name, text in spanish.items()
    }


@LANGUAGES
def test_no_message_is_empty_and_every_plural_has_the_same_placeholders_in_both_forms(words: Words) -> None:
    assert [name for name, text in messages(words).items() if not text.strip()] == []
    for field in fields(words):
        if isinstance(found := getattr(words, field.name), Plural):
            assert placeholders(found.one) == placeholders(found.other), field.name


def test_spanish_is_not_english_left_untranslated() -> None:
    english, spanish = messages(ENGLISH), messages(SPANISH)
    same = {name for name in english if english[name] == spanish[name]}
    assert same == {
        "facts.nps", "features.fact", "tickets.one", "tickets.other", "categories.no", "categories.neutral",
        "alert", "percent",
    }  # fmt: skip


class Listening:
    """A catalogue that notes which of its messages are asked for."""

    def __init__(self, words: Words) -> None:
        self.words, self.asked = words, set[str]()

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.words, name)
        if isinstance(value, Mapping):
            return ListeningNames(name, value, self.asked)
        self.asked |= {f"{name}.one", f"{name}.other"} if isinstance(value, Plural) else {name}
        return value


class ListeningNames(dict[Any, str]):
    """A mapping of a catalogue that notes its keys."""

    def __init__(self, name: str, texts: Mapping[Any, str], asked: set[str]) -> None:
        super().__init__(texts)
        self.name, self.asked = name, asked

    def __getitem__(self, key: Any) -> str:
        self.asked.add(f"{self.name}.{key}")
        return super().__getitem__(key)

    def get(self, key: Any, default: Any = None) -> Any:
        self.asked.add(f"{self.name}.{key}")
        return super().get(key, default)


def metrics() -> Iterator[Metric]:
    """Yield a metric of every feature with each of its sources."""
    for feature in FEATURES:
        given = {name: ARGUMENTS[name] for name in feature.needs if name != "source"}
        for source in known_sources(feature.name) if "source" in feature.needs else [None]:
            yield Metric(feature=feature.name, source=source, **given)


def explained(words: Words) -> None:
    """Ask for every message of an explanation."""
    part = ComponentTold(
        name="part", dimension="all", metric="it", value=0.5, unit="1", points=60, weight=1, contribution=60, missing=None,
    )  # fmt: skip
    other = structs.replace(part, value="good", points=0)
    gaps = structs.replace(part, unit="usual gaps", points=100)
    model = ModelTold(
        model="health", version=1, shadow=True, score=50, band="good", coverage=1, weight_present=1, denominator=1,
        scale=(0, 100), components=[part], override=1, summary=why_text([part, other, gaps], (0, 100), words),
    )  # fmt: skip
    alert = Step(
        effective_at="",
        topic="disengagements",
        message={"status": "firing", "severity": "info", "summary": ""},
    )
    move = Move(model="health", shadow=False, old_score=1, old_band="good", new_score=1, new_band="good")
    active = IfActive(
        at="",
        is_activity=False,
        scores=[move],
        messages=[alert],
        next_alert_at=None,
        next_alert_at_without=None,
    )
    whole = Explanation(
        account_id="acme", language="en", policy="mine", policy_version=1, partition=0, partitions=1, halted_by="logins",
        committed_at="", now="", kind="customer", time_zone="UTC", last_active_at=None, facts={}, models=[model],
        episodes=[EpisodeTold(topic="disengagements", since="", severity="info", sentences=[])], days_ahead=1,
        without_any_event=[alert], if_active_now=active,
    )  # fmt: skip
    told = explanation_text(whole, words)
    bare = explanation_text(structs.replace(whole, episodes=[], without_any_event=[]), words)
    assert told != bare
    trend = Metric(feature="ratio", source="activity", window_days=28, lag_days=28)
    fact = Metric(feature="fact", source="nps")
    for metric, value, why in (
        (trend, None, Missing.WARMING_UP),
        (trend, None, Missing.NO_EVIDENCE),
        (Metric(feature="rhythm"), None, Missing.NO_EVIDENCE),
        (fact, 1, Missing.NO_EVIDENCE),
        (fact, None, Missing.NO_EVIDENCE),
    ):
        assert missing_text(metric, value, why, words)


CHOSEN: Final = ("categories.", "severities.", "statuses.")
"""Mappings of which a single message shows one name; that they have all is another test."""


@LANGUAGES
def test_every_message_is_used(words: Words) -> None:
    listening = Listening(words)
    heard = cast("Words", listening)
    for reason, _ in OPEN:
        summary([reason], None, heard)
    for reason, ended_by, _ in OVER:
        summary([reason], ended_by, heard)
    for ended_by in (OVER[0][1], *ENDS):
        summary([], ended_by, heard)
    for metric in metrics():
        metric_text(metric, heard)
    for name in known_models(None):
        model = load_model(name)
        changes, nothing = ChangeText(model, heard), [0] * len(model.components)
        if len(model.components) > 3:
            changes.summary(
                NONE, 50_000, INSUFFICIENT_EVIDENCE, model.band_names[0], [1000] * 4, None, nothing
            )
    explained(heard)
    assert {name for name in messages(words) if not name.startswith(CHOSEN)} - listening.asked == set()


@LANGUAGES
def test_names_are_those_that_there_are(words: Words) -> None:
    models = [load_model(name) for name in known_models(None)]
    assert set(words.models) == {model.model for model in models}
    named = {name for model in models if model.bands for name in model.band_names}
    assert set(words.bands) == {*named, INSUFFICIENT_EVIDENCE, NOT_APPLICABLE}
    assert list(words.features) == [feature.name for feature in FEATURES]
    assert list(words.sources) == [source.name for source in SOURCES]
    assert list(words.measurements) == [measurement.name for measurement in MEASUREMENTS]
    assert list(words.facts) == list(READABLE_FACTS)
    assert set(words.categories) == {value for fact in FACTS if fact.readable for value in fact.values}
    assert list(words.severities) == [severity.label for severity in Severity]
    assert list(words.statuses) == list(Status)


@LANGUAGES
def test_a_metric_tells_each_of_its_numbers_of_days(words: Words) -> None:
    for metric in metrics():
        text = metric_text(metric, words)
        assert all(str(days) in text for name, days in ARGUMENTS.items() if getattr(metric, name)), text
    texts = [metric_text(metric, words) for metric in metrics()]
    assert len(set(texts)) == len(texts), "two metrics read alike"


# --- the sentence of a score change --------------------------------------------------------------------------------


def change(*deltas: int, words: Words = ENGLISH, **told: Any) -> str:
    """Return the sentence of a change of `retention`, whose parts are in the order of its file; of before nothing is known."""
    given: dict[str, Any] = {
        "old": 72_500,
        "new": 65_000,
        "old_band": "healthy",
        "new_band": "cooling",
    } | told
    measured = (1_500, 480, 700, 2, 1, 0)
    return ChangeText(load_model("retention"), words).summary(
        **given, deltas=deltas, contributions=None, metrics=measured
    )


@pytest.mark.parametrize(
    ("deltas", "told", "text"),
    [
        (
            (0, -6_200, -1_300, 0, 0, 0),
            {},
            "Retention 72.5 -> 65 (healthy -> cooling): activity 48 % in 28 days against the 28 days before (-6.2), "
            "log-ins 70 % in 14 days against the 14 days before (-1.3).",
        ),
        (
            (-1_000, 2_000, -3_000, 4_000, -5_000, 49),
            {},
            "Retention 72.5 -> 65 (healthy -> cooling): payments failed or reversed 1 in 28 days (-5), "
            "visits to cancel or refund pages 2 in 28 days (+4), "
            "log-ins 70 % in 14 days against the 14 days before (-3) and 2 more.",
        ),
        (
            (-1_000, 1_000, 0, 0, 0, -1_000, -7_500),
            {},
            "Retention 72.5 -> 65 (healthy -> cooling): manual judgement (-7.5), "
            "silence against its usual rhythm 1.5 times (-1), "
            "activity 48 % in 28 days against the 28 days before (+1) and 1 more.",
        ),
        (
            (49, -49, 50, -50, 0, 0),
            {"old": 62_049, "new": 62_050, "old_band": "cooling"},
            "Retention 62 -> 62.1 (cooling -> cooling): log-ins 70 % in 14 days against the 14 days before (+0.1), "
            "visits to cancel or refund pages 2 in 28 days (-0.1).",
        ),
        ((0, 0, 0, 0, 0, 0), {"new": 72_500}, "Retention 72.5 -> 72.5 (healthy -> cooling)."),
        (
            (25_000, 0, 0, 0, 0, 0),
            {"old": NONE, "old_band": INSUFFICIENT_EVIDENCE, "new": 100_000, "new_band": "healthy"},
            "Retention none -> 100 (insufficient evidence -> healthy): silence against its usual rhythm 1.5 times (+25).",
        ),
        (
            (-25_000, 0, 0, 0, 0, 0),
            {"new": NONE, "new_band": NOT_APPLICABLE},
            "Retention 72.5 -> none (healthy -> not applicable).",
        ),
        (
            (0, 0, 0, 0, 0, 0),
            {"old": NONE, "old_band": INSUFFICIENT_EVIDENCE, "new": NONE, "new_band": NOT_APPLICABLE},
            "Retention none -> none (insufficient evidence -> not applicable).",
        ),
    ],
)
def test_a_change_tells_scores_bands_and_what_moved_it_most(
    deltas: tuple[int, ...], told: dict[str, Any], text: str
) -> None:
    assert change(*deltas, **told) == text


def test_a_change_is_told_in_spanish() -> None:
    assert change(-1_000, -2_500, -3_000, 4_000, 0, 0, words=SPANISH) == (
        "Retención 72,5 -> 65 (sana -> enfriándose): visitas a páginas de cancelación o reembolso 2 en 28 días (+4), "
        "inicios de sesión 70 % en 14 días frente a los 14 días anteriores (-3), "
        "actividad 48 % en 28 días frente a los 28 días anteriores (-2,5) y 1 más."
    )
    told = change(-25_000, old_band="cooling", new=NONE, new_band=INSUFFICIENT_EVIDENCE, words=SPANISH)
    assert told == "Retención 72,5 -> sin nota (enfriándose -> datos insuficientes)."


def test_a_model_of_ones_own_is_told_in_either_language_by_its_own_names_of_model_and_bands() -> None:
    tree = load_model("retention").model_dump(by_alias=True, exclude_none=True)
    tree |= {"model": "ours", "bands": [tree["bands"][0], tree["bands"][3] | {"name": "all_well"}]}
    told = ChangeText(type(load_model("retention")).model_validate(tree), SPANISH).summary(
        50_000, 80_000, "lost", "all_well", [30_000], None, [1_000] * 6
    )
    assert told == "ours 50 -> 80 (perdida -> all well): silencio frente a su ritmo habitual 1 vez (+30)."


def test_a_band_of_an_earlier_version_keeps_its_name() -> None:
    told = change(-7_500, old_band="at_risk", words=SPANISH)
    assert told.startswith("Retención 72,5 -> 65 (en riesgo -> enfriándose): ")
    assert change(old_band="all_well").startswith("Retention 72.5 -> 65 (all well -> cooling)")


@pytest.mark.parametrize(
    ("old", "text"), [(0, "0"), (49, "0"), (50, "0.1"), (950, "1"), (62_349, "62.3"), (100_000, "100")]
)
def test_a_score_has_at_most_one_decimal(old: int, text: str) -> None:
    assert change(old=old).startswith(f"Retention {text} -> 65 (")


@pytest.mark.parametrize(
    ("delta", "text"),
    [(50, "+0.1"), (149, "+0.1"), (150, "+0.2"), (-149, "-0.1"), (-150, "-0.2"), (-6_000, "-6")],
)
def test_what_moved_it_is_rounded_half_away_from_zero(delta: int, text: str) -> None:
    assert change(delta).endswith(f": silence against its usual rhythm 1.5 times ({text}).")


def test_the_example_of_a_score_change_says_what_it_would_say() -> None:
    example = OUTPUT_EXAMPLES[Output.SCORE_CHANGES]
    assert isinstance(example, ScoreChange)
    deltas = {part.component: round(1000 * part.delta) for part in example.contributions}
    model = load_model(example.model)
    told = ChangeText(model, ENGLISH).summary(
        round(1000 * (example.old.score or 0)),
        round(1000 * (example.new.score or 0)),
        example.old.band,
        example.new.band,
        [deltas.get(part.name, 0) for part in model.components],
        [20_000, 0, 0, 0, 0, 0],  # of 25: 80 points; 100 at 1.5, 75 at 3
        [4_667, 0, 0, 0, 0, 0],
    )
    assert example.summary == told


def test_what_is_sent_tells_its_own_figures() -> None:
    told = [
        facts("0 12:00", nps=80),
        facts("1 12:00", override__test=31.25),
        facts("2 12:00", override__test=None),
    ]
    found = [change["summary"] for change in run(*told, until="3 00:00").changes]
    assert found == [
        "test none -> 80 (insufficient evidence -> high): NPS 80 (+80).",
        "test 80 -> 31.3 (high -> low): manual judgement (-48.8).",
        "test 31.3 -> 80 (low -> high): manual judgement (+48.8).",
    ]


def in_spanish(program: Program) -> Program:
    policy = program.policy.model_copy(update={"language": "es"})
    return compile_program(policy, program.models, ZoneDatabase())


def test_the_language_of_the_policy_changes_the_summaries_and_nothing_else(program: Program) -> None:
    events = company(seed=9, accounts=5, days=70)
    english = [json.loads(value) for value in Machine(program, events).run(random.Random(1), rows_max=50_000)]
    spanish = [
        json.loads(value)
        for value in Machine(in_spanish(program), events).run(random.Random(1), rows_max=50_000)
    ]
    texts = [(one.pop("summary"), other.pop("summary")) for one, other in zip(english, spanish, strict=True)]
    assert english == spanish
    assert len(texts) > 20
    assert all(one != other for one, other in texts)
    for one, other in (("Retention ", "Retención "), ("Adoption ", "Adopción ")):
        assert sum(text.startswith(one) for text, _ in texts) > 0
        assert [text.startswith(one) for text, _ in texts] == [text.startswith(other) for _, text in texts]
