"""Sentences of alerts, as they are read: every reason while it is open, and when it is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

import pytest

from schemas import evidence as told
from schemas import outputs as out
from schemas.evidence import Reason
from schemas.examples import OUTPUT_EXAMPLES
from schemas.reasons import ResolvedBy
from schemas.topics import Output
from schemas.words_en import ENGLISH
from schemas.words_es import SPANISH
from streams.wording import ENDS, many, number_text, sentence, summary

if TYPE_CHECKING:
    from schemas.words import Words

SINCE: Final = "2026-03-28T00:00:00.000Z"


def silence(
    silent_for_s: int = 777_600, usual_gap_s: int = 129_600, gaps_known: int = 31, rate: float = 0.5
) -> Reason:
    evidence = told.SilenceEvidence(
        silent_for_s=silent_for_s,
        usual_gap_s=usual_gap_s,
        gaps_known=gaps_known,
        probability=0.002,
        false_alarms_per_year=rate,
    )
    return told.SilenceReason(since=SINCE, evidence=evidence)


def absolute_silence(silent_for_s: int) -> Reason:
    evidence = told.AbsoluteSilenceEvidence(silent_for_s=silent_for_s, limit_days=90)
    return told.AbsoluteSilenceReason(since=SINCE, evidence=evidence)


def risk_page(visits: int, *, admin: bool) -> Reason:
    evidence = told.RiskPageEvidence(visits=visits, last_visit_at=SINCE, admin=admin)
    return told.RiskPageReason(since=SINCE, evidence=evidence)


def decline(recent: float, earlier: float) -> Reason:
    evidence = told.DeclineEvidence(recent_days_per_week=recent, earlier_days_per_week=earlier)
    return told.DeclineReason(since=SINCE, evidence=evidence)


def never_started(days: int) -> Reason:
    evidence = told.NeverStartedEvidence(days_since_start=days, limit_days=14)
    return told.NeverStartedReason(since=SINCE, evidence=evidence)


def payments(late: int, failed: int, back: int) -> Reason:
    evidence = told.PaymentTroubleEvidence(late=late, failed=failed, reversed=back)
    return told.PaymentTroubleReason(since=SINCE, evidence=evidence)


def tickets(opened: int, usual: float, escalated: int, unresolved: int) -> Reason:
    evidence = told.TicketTroubleEvidence(
        opened=opened, usual=usual, escalated=escalated, unresolved=unresolved
    )
    return told.TicketTroubleReason(since=SINCE, evidence=evidence)


def band_drop(band: str, before: str | None, lost: float | None) -> Reason:
    evidence = told.BandDropEvidence(band=band, band_before=before, points_lost=lost)
    return told.BandDropReason(model="retention", since=SINCE, evidence=evidence)


def users_leaving(users: int, before: int) -> Reason:
    evidence = told.UsersLeavingEvidence(users=users, users_before=before)
    return told.UsersLeavingReason(since=SINCE, evidence=evidence)


def reengaged(active_days: int, silent_days: int) -> Reason:
    evidence = told.ReengagedEvidence(
        returned_on="2026-03-28", active_days=active_days, silent_days=silent_days
    )
    return told.ReengagedReason(since=SINCE, evidence=evidence)


def usage_surge(events: int, usual: float) -> Reason:
    return told.UsageSurgeReason(since=SINCE, evidence=told.UsageSurgeEvidence(events=events, usual=usual))


def upgrade_interest(visits: int) -> Reason:
    evidence = told.UpgradeInterestEvidence(visits=visits, window_days=14)
    return told.UpgradeInterestReason(since=SINCE, evidence=evidence)


RATE: Final = "At this setting a healthy account is expected to raise 0.5 such alerts a year."
OPEN: Final = [
    (silence(), f"Usually active every 1-2 days; last seen 9 days ago. {RATE}"),
    (
        silence(gaps_known=2),
        f"Usually active every 1-2 days (few gaps are known: this rests on the prior); last seen 9 days ago. {RATE}",
    ),
    (
        silence(silent_for_s=60, usual_gap_s=86_400),
        f"Usually active every day; last seen less than a day ago. {RATE}",
    ),
    (
        silence(usual_gap_s=172_800, rate=1.0),
        "Usually active every 2 days; last seen 9 days ago. "
        "At this setting a healthy account is expected to raise 1 such alert a year.",
    ),
    (absolute_silence(91 * 86_400), "Not seen for 91 days; the cap is 90 days."),
    (risk_page(1, admin=False), "A cancel or refund page was visited once."),
    (risk_page(3, admin=True), "A cancel or refund page was visited 3 times by an administrator."),
    (decline(2.5, 4.75), "Active 2.5 days a week in the last weeks, 4.75 before."),
    (decline(1.0, 4.833), "Active 1 day a week in the last weeks, 4.83 before."),
    (decline(0.0, 4.0), "Not active in the last weeks, 4 before."),
    (decline(0.0, 0.0), "Not active in the last weeks, not at all before."),
    (never_started(21), "Never active in the 21 days since it became a customer; the limit is 14 days."),
    (never_started(1), "Never active in the 1 day since it became a customer; the limit is 14 days."),
    (never_started(0), "Never active since it became a customer today; the limit is 14 days."),
    (payments(1, 2, 0), "1 payment late, 2 failed."),
    (payments(0, 2, 1), "2 payments failed, 1 refunded or disputed."),
    (payments(0, 0, 1), "1 payment refunded or disputed."),
    (payments(0, 0, 0), "No payment was late, failed, refunded or disputed lately."),
    (
        tickets(6, 1.5, 1, 2),
        "6 tickets opened in the last 7 days (usually 1.5), 1 escalated, 2 open for too long.",
    ),
    (tickets(1, 0.0, 1, 0), "1 ticket opened in the last 7 days (usually none), 1 escalated."),
    (tickets(0, 1.5, 0, 1), "1 ticket open for too long."),
    (
        tickets(0, 1.5, 0, 0),
        "No ticket was opened in the last 7 days, none is escalated or open for too long.",
    ),
    (
        band_drop("at_risk", "healthy", 18.5),
        'The score fell from "healthy" to "at risk", 18.5 points below its best of the last days.',
    ),
    (band_drop("cooling", "healthy", None), 'The score fell from "healthy" to "cooling".'),
    (band_drop("cooling", "healthy", 0.0), 'The score fell from "healthy" to "cooling".'),
    (
        band_drop("healthy", None, 15.5),
        'The score is "healthy", 15.5 points below its best of the last days.',
    ),
    (band_drop("insufficient_evidence", None, None), 'The score is "insufficient evidence".'),
    (users_leaving(3, 12), "3 of 12 users active in the last weeks."),
    (users_leaving(0, 12), "None of 12 users active in the last weeks."),
    (users_leaving(0, 0), "No user was active for months."),
    (reengaged(3, 41), "Back on 2026-03-28 after 41 days; 3 active days since."),
    (reengaged(1, 1), "Back on 2026-03-28 after 1 day; 1 active day since."),
    (usage_surge(120, 61.667), "Used 120 times lately, usually 61.7 times in as many days."),
    (usage_surge(0, 61.667), "Not used lately, usually 61.7 times in as many days."),
    (usage_surge(1, 0.0), "Used once lately, usually not at all in as many days."),
    (upgrade_interest(2), "2 visits to upgrade or pricing pages in the last 14 days."),
    (upgrade_interest(0), "No visit to upgrade or pricing pages in the last 14 days."),
]
OVER: Final = [
    (
        silence(),
        ResolvedBy.ACTIVITY,
        f"activity was seen). It was: Usually active every 1-2 days; last seen 9 days ago. {RATE}",
    ),
    (
        silence(),
        ResolvedBy.POLICY,
        f"another policy is in force). It was: Usually active every 1-2 days; last seen 9 days ago. {RATE}",
    ),
    (
        never_started(20),
        ResolvedBy.ACTIVITY,
        "activity was seen). It was: Never active in the 20 days since it became a customer; the limit is 14 days.",
    ),
    (
        risk_page(1, admin=False),
        ResolvedBy.QUIET_PERIOD,
        "quiet since). It was: A cancel or refund page was visited once.",
    ),
    (
        decline(4.5, 4.75),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Fewer active days than before. "
        "Now: Active 4.5 days a week in the last weeks, 4.75 before.",
    ),
    (
        payments(0, 0, 0),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Trouble with payments. "
        "Now: No payment was late, failed, refunded or disputed lately.",
    ),
    (
        payments(0, 1, 0),
        ResolvedBy.CLOSED,
        "the account was closed). It was: Trouble with payments. Now: 1 payment failed.",
    ),
    (
        tickets(0, 0.25, 0, 0),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Trouble with support tickets. "
        "Now: No ticket was opened in the last 7 days, none is escalated or open for too long.",
    ),
    (
        band_drop("healthy", None, 0.0),
        ResolvedBy.CONDITION_OVER,
        'no longer the case). It was: The score had fallen. Now: The score is "healthy".',
    ),
    (
        users_leaving(9, 12),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Users no longer active. Now: 9 of 12 users active in the last weeks.",
    ),
    (
        reengaged(9, 41),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Back on 2026-03-28 after 41 days; 9 active days since.",
    ),
    (
        usage_surge(60, 61.0),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Used more than usual. "
        "Now: Used 60 times lately, usually 61 times in as many days.",
    ),
    (
        upgrade_interest(0),
        ResolvedBy.CONDITION_OVER,
        "no longer the case). It was: Interest in an upgrade. "
        "Now: No visit to upgrade or pricing pages in the last 14 days.",
    ),
]


TASA: Final = "Con este ajuste se espera que una cuenta sana dé 0,5 avisos así al año."
OPEN_IN_SPANISH: Final = [
    f"Suele estar activa cada 1-2 días; vista por última vez hace 9 días. {TASA}",
    "Suele estar activa cada 1-2 días (se conocen pocos intervalos: se apoya en el valor de partida); "
    f"vista por última vez hace 9 días. {TASA}",
    f"Suele estar activa cada día; vista por última vez hace menos de un día. {TASA}",
    "Suele estar activa cada 2 días; vista por última vez hace 9 días. "
    "Con este ajuste se espera que una cuenta sana dé 1 aviso así al año.",
    "No se la ve desde hace 91 días; el tope es de 90 días.",
    "Se visitó una vez una página de cancelación o reembolso.",
    "Un administrador visitó 3 veces una página de cancelación o reembolso.",
    "Activa 2,5 días por semana en las últimas semanas, antes 4,75.",
    "Activa 1 día por semana en las últimas semanas, antes 4,83.",
    "Sin actividad en las últimas semanas, antes 4.",
    "Sin actividad en las últimas semanas, antes ninguno.",
    "Sin actividad en 21 días desde que es cliente; el límite es de 14 días.",
    "Sin actividad en 1 día desde que es cliente; el límite es de 14 días.",
    "Sin actividad desde que se hizo cliente hoy; el límite es de 14 días.",
    "1 pago atrasado, 2 fallidos.",
    "2 pagos fallidos, 1 devuelto o en disputa.",
    "1 pago devuelto o en disputa.",
    "Ningún pago atrasado, fallido, devuelto o en disputa últimamente.",
    "6 tickets abiertos en los últimos 7 días (lo habitual: 1,5), 1 escalado, 2 sin resolver desde hace demasiado tiempo.",
    "1 ticket abierto en los últimos 7 días (lo habitual: ninguno), 1 escalado.",
    "1 ticket sin resolver desde hace demasiado tiempo.",
    "Ningún ticket abierto en los últimos 7 días; ninguno escalado ni sin resolver desde hace demasiado tiempo.",
    'La puntuación bajó de "sana" a "en riesgo", 18,5 puntos por debajo de su máximo de los últimos días.',
    'La puntuación bajó de "sana" a "enfriándose".',
    'La puntuación bajó de "sana" a "enfriándose".',
    'La puntuación es "sana", 15,5 puntos por debajo de su máximo de los últimos días.',
    'La puntuación es "datos insuficientes".',
    "3 de 12 usuarios con actividad en las últimas semanas.",
    "Ninguno de 12 usuarios con actividad en las últimas semanas.",
    "Ningún usuario activo desde hace meses.",
    "De vuelta el 2026-03-28 tras 41 días; desde entonces, 3 días activos.",
    "De vuelta el 2026-03-28 tras 1 día; desde entonces, 1 día activo.",
    "Usada 120 veces últimamente; lo habitual en los mismos días: 61,7 veces.",
    "Sin uso últimamente; lo habitual en los mismos días: 61,7 veces.",
    "Usada una vez últimamente; lo habitual en los mismos días: ninguna vez.",
    "2 visitas a páginas de ampliación o de precios en los últimos 14 días.",
    "Ninguna visita a páginas de ampliación o de precios en los últimos 14 días.",
]
OVER_IN_SPANISH: Final = [
    f"se vio actividad). Era: {OPEN_IN_SPANISH[0]}",
    f"rige otra política). Era: {OPEN_IN_SPANISH[0]}",
    "se vio actividad). Era: Sin actividad en 20 días desde que es cliente; el límite es de 14 días.",
    "en calma desde entonces). Era: Se visitó una vez una página de cancelación o reembolso.",
    "ya no es el caso). Era: Menos días activos que antes. "
    "Ahora: Activa 4,5 días por semana en las últimas semanas, antes 4,75.",
    "ya no es el caso). Era: Problemas con los pagos. "
    "Ahora: Ningún pago atrasado, fallido, devuelto o en disputa últimamente.",
    "se cerró la cuenta). Era: Problemas con los pagos. Ahora: 1 pago fallido.",
    "ya no es el caso). Era: Problemas con los tickets de soporte. Ahora: Ningún ticket abierto en los últimos 7 días; "
    "ninguno escalado ni sin resolver desde hace demasiado tiempo.",
    'ya no es el caso). Era: La puntuación había bajado. Ahora: La puntuación es "sana".',
    "ya no es el caso). Era: Usuarios que ya no están activos. "
    "Ahora: 9 de 12 usuarios con actividad en las últimas semanas.",
    "ya no es el caso). Era: De vuelta el 2026-03-28 tras 41 días; desde entonces, 9 días activos.",
    "ya no es el caso). Era: Más uso que de costumbre. "
    "Ahora: Usada 60 veces últimamente; lo habitual en los mismos días: 61 veces.",
    "ya no es el caso). Era: Interés en una ampliación. "
    "Ahora: Ninguna visita a páginas de ampliación o de precios en los últimos 14 días.",
]


@pytest.mark.parametrize(("reason", "text"), OPEN, ids=[text for _, text in OPEN])
def test_an_open_reason_is_told(reason: Reason, text: str) -> None:
    assert sentence(reason, ENGLISH) == text
    assert summary([reason], None, ENGLISH) == text


@pytest.mark.parametrize(("reason", "ended_by", "text"), OVER, ids=[text for _, _, text in OVER])
def test_a_reason_that_is_over_is_told(reason: Reason, ended_by: ResolvedBy, text: str) -> None:
    assert summary([reason], ended_by, ENGLISH) == f"Resolved ({text}"


@pytest.mark.parametrize(
    ("reason", "text"),
    [(reason, text) for (reason, _), text in zip(OPEN, OPEN_IN_SPANISH, strict=True)],
    ids=OPEN_IN_SPANISH,
)
def test_an_open_reason_is_told_in_spanish(reason: Reason, text: str) -> None:
    assert summary([reason], None, SPANISH) == text


@pytest.mark.parametrize(
    ("reason", "ended_by", "text"),
    [(*of, text) for (*of, _), text in zip(OVER, OVER_IN_SPANISH, strict=True)],
    ids=OVER_IN_SPANISH,
)
def test_a_reason_that_is_over_is_told_in_spanish(reason: Reason, ended_by: ResolvedBy, text: str) -> None:
    assert summary([reason], ended_by, SPANISH) == f"Resuelto ({text}"


def test_several_reasons_are_told_one_after_another() -> None:
    reasons = [decline(2.5, 4.75), payments(1, 0, 0)]
    assert summary(reasons, None, ENGLISH) == (
        "Active 2.5 days a week in the last weeks, 4.75 before. 1 payment late."
    )


def test_every_rule_has_its_sentence_here_and_every_end_its_words() -> None:
    assert {type(reason) for reason, _ in OPEN} == set(get_args(Reason))
    assert {reason for _, reason, _ in OVER} == set(ResolvedBy) - set(ENDS)


@pytest.mark.parametrize(
    ("ended_by", "words", "text"),
    [
        (ResolvedBy.ERASED, ENGLISH, "Resolved (the account was erased)."),
        (ResolvedBy.RETIRED, ENGLISH, "Resolved (the account was retired)."),
        (ResolvedBy.ERASED, SPANISH, "Resuelto (se borró la cuenta)."),
        (ResolvedBy.RETIRED, SPANISH, "Resuelto (se retiró la cuenta)."),
        (ResolvedBy.MERGED, ENGLISH, "Resolved (the account was merged into another one)."),
        (ResolvedBy.MERGED, SPANISH, "Resuelto (se unió la cuenta a otra)."),
    ],
)
def test_of_an_account_that_ended_only_that_is_told(ended_by: ResolvedBy, words: Words, text: str) -> None:
    assert summary([], ended_by, words) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (1.0, "1"), (0.25, "0.25"), (9.999, "10"), (10, "10"), (61.667, "61.7"), (60_000, "60000")],
)
def test_numbers_are_short(number: float, text: str) -> None:
    assert number_text(number, ENGLISH) == text


def test_a_number_that_reads_as_one_has_a_singular_noun() -> None:
    assert many(1.001, ENGLISH.days, ENGLISH) == "1 day"
    assert many(0.5, ENGLISH.days, ENGLISH) == "0.5 days"
    assert [many(n, SPANISH.days, SPANISH) for n in (0, 0.5, 1, 1.5, 2)] == [
        "0 días", "0,5 días", "1 día", "1,5 días", "2 días",
    ]  # fmt: skip


@pytest.mark.parametrize("topic", [Output.DISENGAGEMENTS, Output.OPPORTUNITIES])
def test_the_example_of_an_alert_says_what_it_would_say(topic: Output) -> None:
    alert = OUTPUT_EXAMPLES[topic]
    assert isinstance(alert, out.Disengagement)
    assert alert.summary == summary(alert.reasons, alert.resolved_by, ENGLISH)
