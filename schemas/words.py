"""What latido says to people, as data: a catalogue of messages for each language, all with the same placeholders.

A message is a format text. A number stands in it as ``{n}`` in a form for one and a form for all others (also for 0 and 0.5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.reasons import ResolvedBy

Language = Literal["en", "es"]


class Plural(NamedTuple):
    """A message with a number: how it reads with one, and with any other."""

    one: str
    other: str


@dataclass(frozen=True, kw_only=True)
class Words:
    """All messages of one language; names of models, bands, facts and the like stand in mappings by their name."""

    decimal_mark: str

    # Durations and how often.
    days: Plural
    less_than_a_day: str
    every_day: str
    every_days: str
    every_range: str
    never: str
    once: str
    times: str
    points: Plural

    # Sentences of reasons.
    silence: str
    few_gaps: str
    false_alarms: Plural
    absolute_silence: str
    risk_page: str
    risk_page_admin: str
    decline: str
    active: str
    not_active: str
    no_days: str
    never_started: str
    never_started_today: str
    payments: Plural
    payments_late: Plural
    payments_failed: Plural
    payments_reversed: Plural
    no_payments: str
    tickets: Plural
    tickets_opened: Plural
    tickets_escalated: Plural
    tickets_unresolved: Plural
    none_usual: str
    no_tickets: str
    band_is: str
    band_fell: str
    band_lost: str
    users: Plural
    users_left: str
    nobody: str
    no_users: str
    active_days: Plural
    reengaged: str
    usage_surge: str
    used: str
    not_used: str
    visits: Plural
    no_visits: str
    upgrade_interest: str

    # An episode that is over.
    resolved: str
    resolved_unjudged: str
    resolved_untold: str
    was_and_is: str
    was: Mapping[str, str]
    """What the reason of a rule was when it is over and its evidence tells how things are now."""
    ended: Mapping[ResolvedBy, str]

    # A score change.
    more: str
    no_score: str
    judgement: str
    models: Mapping[str, str]
    bands: Mapping[str, str]

    at_least: str
    at_most: str
    not_known: str

    # What metrics measure; the value of one stands with a blank before it, or is empty.
    features: Mapping[str, str]
    sources: Mapping[str, str]
    measurements: Mapping[str, str]
    facts: Mapping[str, str]
    categories: Mapping[str, str]

    # An explanation.
    never_active: str
    explained_account: str
    explained_state: str
    explained_halt: str
    explained_score: str
    in_shadow: str
    explained_losses: str
    explained_supports: str
    explained_part: str
    explained_judgement: str
    heads: Mapping[str, str]
    percent: str
    factor: Plural
    warming_up: str
    not_in_table: str
    fact_untold: str
    nothing_seen: str
    nothing_seen_or_young: str
    no_episode: str
    open_episode: str
    nothing_ahead: str
    ahead: str
    due_already: str
    if_active: str
    log_in_no_activity: str
    unchanged: str
    goes_out: str
    alert: str
    next_alert: str
    no_alert: str
    severities: Mapping[str, str]
    statuses: Mapping[str, str]
