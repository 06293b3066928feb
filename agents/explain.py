"""`latido explain`: why an account's scores are what they are, what changes them next and when, and what a log-in would."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.explain_text import missing_text, why_text
from agents.explanation import ComponentTold, EpisodeTold, Explanation, ModelTold
from agents.outlook import ROW, if_active, move_to, sweep, view_of
from schemas.catalogue import DEFAULT_KIND, FACT_BY_NAME, FEATURE_BY_NAME, MEASUREMENT_BY_NAME
from schemas.reasons import NOT_APPLICABLE
from schemas.topics import INPUT_TOPICS
from streams.days import DAY_MS
from streams.explain import measured
from streams.instants import instant_text
from streams.layout import LAST_ACTIVE, UNSET, ZONE
from streams.levels import OVERRIDE
from streams.measured import metric_text
from streams.wording import sentence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from agents.account_state import AccountState
    from agents.partition import Partition
    from schemas.component import Metric
    from schemas.model_file import ModelFile
    from schemas.outputs import AccountView, Episode, ModelScore
    from schemas.words import Words


def explain(state: AccountState, days: int) -> Explanation:
    """Explain an account, looking ``days`` days ahead of its now."""
    machine, policy = state.machine(), state.program.policy
    committed = view_of(machine)
    move_to(machine, state)
    view, last_active = view_of(machine), int(machine.accounts.cells.i64[ROW, LAST_ACTIVE])
    until_ms = state.present_ms + days * DAY_MS
    ahead = sweep(state.machine(), until_ms)
    return Explanation(
        account_id=state.account,
        language=policy.language,
        policy=policy.policy,
        policy_version=policy.version,
        partition=state.partition,
        partitions=state.partitions,
        halted_by=None if state.halted is None else INPUT_TOPICS[state.halted].name,
        committed_at=committed.as_of,
        now=instant_text(state.present_ms),
        kind=str(view.facts.get("kind") or DEFAULT_KIND),
        time_zone=_zone(machine),
        last_active_at=None if last_active == UNSET else instant_text(last_active),
        facts=view.facts,
        models=list(_models(machine, view)),
        episodes=[_episode(episode, state.program.words) for episode in view.episodes],
        days_ahead=days,
        without_any_event=ahead,
        if_active_now=if_active(state, until_ms, ahead),
    )


def _zone(machine: Partition) -> str:
    program, code = machine.accounts.program, int(machine.accounts.cells.i32[ROW, ZONE])
    return program.zones.name_of(code) or program.policy.time_zone


def _models(machine: Partition, view: AccountView) -> Iterator[ModelTold]:
    values, words = iter(measured(machine.accounts, ROW)), machine.accounts.program.words
    scores = {score.model: score for score in view.scores + view.shadow}
    for model in machine.accounts.program.models:
        score = scores[model.model]
        components = list(_components(model, score, values, words))
        yield ModelTold(
            model=model.model,
            version=model.version,
            shadow=score in view.shadow,
            score=score.score,
            band=score.band,
            coverage=score.coverage,
            weight_present=0 if score.band == NOT_APPLICABLE else _present(components),
            denominator=model.denominator,
            scale=model.scale,
            components=components,
            override=next((part.contribution for part in score.components if part.name == OVERRIDE), None),
            summary="" if score.score is None else why_text(components, model.scale, words),
        )


def _present(components: Iterable[ComponentTold]) -> int:
    return sum(part.weight for part in components if part.points is not None)


def _components(
    model: ModelFile, score: ModelScore, values: Iterator[tuple[int | None, int | None]], words: Words
) -> Iterator[ComponentTold]:
    shown = {part.name: part for part in score.components}
    for dimension in model.dimensions:
        for part in dimension.components:
            x, points = next(values)
            value, unit = _value(part.metric, x)
            yield ComponentTold(
                name=part.name,
                dimension=dimension.name,
                metric=metric_text(part.metric, words),
                value=value,
                unit=unit,
                points=None if points is None else points / 1000,
                weight=part.weight,
                contribution=shown[part.name].contribution,
                missing=None
                if points is not None
                else missing_text(part.metric, x, shown[part.name].missing, words),
            )


def _value(metric: Metric, x: int | None) -> tuple[float | str | None, str]:
    """Return a metric's value in its own unit, and that unit."""
    feature, unit = FEATURE_BY_NAME[metric.feature], FEATURE_BY_NAME[metric.feature].unit
    if feature.name == "fact":
        fact = FACT_BY_NAME[metric.source or ""]
        if fact.values and x is not None:
            return fact.values[x], fact.unit
        unit = fact.unit
    elif feature.name == "mean":
        unit = MEASUREMENT_BY_NAME[metric.source or ""].unit
    return None if x is None else x / feature.scale, unit


def _episode(episode: Episode, words: Words) -> EpisodeTold:
    return EpisodeTold(
        topic=episode.topic,
        since=episode.since,
        severity=episode.severity,
        sentences=[sentence(reason, words) for reason in episode.reasons],
    )
