"""An explanation for people: what costs a score most, tables of components, sentences of episodes, lines of what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agents.tables import table_text
from schemas.reasons import Missing
from schemas.topics import Output
from streams.wording import band_text, form, many, model_text, number_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agents.explanation import ComponentTold, Explanation, IfActive, Step
    from schemas.component import Metric
    from schemas.words import Words

NUMBERS = ("points", "weight", "contribution")
PARTS_TOLD = 3
USUAL_GAPS = "usual gaps"


def explanation_text(told: Explanation, words: Words) -> str:
    """Return an explanation as text, in words of its language."""
    parts = (
        _head(told, words),
        _scores(told, words),
        _episodes(told, words),
        _ahead(told, words),
        _active(told.if_active_now, words),
    )
    return "\n".join(line for part in parts for line in part)


def _head(told: Explanation, words: Words) -> Iterator[str]:
    yield words.explained_account.format(
        account=told.account_id,
        kind=words.categories.get(told.kind, told.kind),
        zone=told.time_zone,
        at=told.last_active_at or words.never_active,
    )
    yield words.explained_state.format(
        committed=told.committed_at, partition=told.partition, partitions=told.partitions,
        policy=told.policy, version=told.policy_version, now=told.now,
    )  # fmt: skip
    if told.halted_by:
        yield words.explained_halt.format(topic=told.halted_by)


def _scores(told: Explanation, words: Words) -> Iterator[str]:
    heads = [words.heads[head] for head in ("component", "measures", "value", *NUMBERS)]
    for model in told.models:
        yield ""
        head = words.explained_score.format(
            model=model_text(model.model, words),
            version=model.version,
            score=number(model.score, words),
            band=band_text(model.band, words),
            present=model.weight_present,
            whole=model.denominator,
        )
        yield words.in_shadow.format(what=head) if model.shadow else head
        if model.summary:
            yield model.summary
        rows = [_component_row(part, words) for part in model.components]
        yield table_text(heads, rows, numbers=[words.heads[head] for head in NUMBERS])
        if model.override is not None:
            yield words.explained_judgement.format(points=number(model.override, words))


def _component_row(part: ComponentTold, words: Words) -> list[str]:
    figures = [number(part.points, words), str(part.weight), number(part.contribution, words)]
    return [part.name, part.metric, part.missing or value_text(part, words), *figures]


def why_text(components: Sequence[ComponentTold], scale: tuple[int, int], words: Words) -> str:
    """Return what costs a score most, and what holds it up: at most three components each, by what they weigh."""
    low, high = scale
    known = [(part, part.points) for part in components if part.points is not None]
    short = sorted(known, key=lambda one: -one[0].weight * (high - one[1]))
    losses = [(part, points) for part, points in short if points < high][:PARTS_TOLD]
    sound = [(part, points) for part, points in known if points - low > high - points]
    held = sorted(sound, key=lambda one: -one[0].weight * (one[1] - low))
    supports = [each for each in held if each not in losses][:PARTS_TOLD]
    told = []
    for message, parts in ((words.explained_losses, losses), (words.explained_supports, supports)):
        if parts:
            texts = [_part_text(part, points, high, words) for part, points in parts]
            told.append(message.format(parts="; ".join(texts)))
    return " ".join(told)


def _part_text(part: ComponentTold, points: float, high: int, words: Words) -> str:
    value = value_text(part, words)
    return words.explained_part.format(
        what=part.metric, value=value, points=number_text(points, words), high=high
    )


def value_text(part: ComponentTold, words: Words) -> str:
    """Return what a component measures as a person reads it: a share in percent, a category in words."""
    if isinstance(part.value, str):
        return words.categories[part.value]
    if part.value is not None and part.unit == "1":
        return words.percent.format(n=number(100 * part.value, words))
    if part.unit == USUAL_GAPS:
        return form(number(part.value, words), words.factor)
    return number(part.value, words)


def missing_text(metric: Metric, x: int | None, why: Missing | None, words: Words) -> str:
    """Return why a component gives no points: ``x`` is what it measures, ``why`` what the view says."""
    if why is Missing.WARMING_UP:
        return words.warming_up
    if x is not None:
        return words.not_in_table
    if metric.feature == "fact":
        return words.fact_untold.format(fact=metric.source)
    days = max((metric.window_days or 0) + (metric.lag_days or 0), metric.of_days or 0)
    days += metric.feature == "pattern"  # over whole days, so without the present one
    if not days:
        return words.nothing_seen
    return words.nothing_seen_or_young.format(days=many(days, words.days, words))


def _episodes(told: Explanation, words: Words) -> Iterator[str]:
    yield ""
    if not told.episodes:
        yield words.no_episode
    for episode in told.episodes:
        severity = words.severities[episode.severity]
        yield words.open_episode.format(topic=episode.topic, since=episode.since, severity=severity)
        yield from (f"  {sentence}" for sentence in episode.sentences)


def _ahead(told: Explanation, words: Words) -> Iterator[str]:
    yield ""
    days = many(told.days_ahead, words.days, words)
    if not told.without_any_event:
        yield words.nothing_ahead.format(days=days)
        return
    yield words.ahead.format(days=days)
    for step in told.without_any_event:
        overdue = f" ({words.due_already})" if step.effective_at <= told.now else ""
        yield f"  {step.effective_at}{overdue}  {step_text(step, words)}"


def _active(told: IfActive, words: Words) -> Iterator[str]:
    yield ""
    yield words.if_active.format(at=told.at)
    if not told.is_activity:
        yield f"  ({words.log_in_no_activity})"
    for move in told.scores:
        model = model_text(move.model, words)
        old = f"{number(move.old_score, words)} {band_text(move.old_band, words)}"
        new = f"{number(move.new_score, words)} {band_text(move.new_band, words)}"
        line = words.unchanged.format(model=model, level=old) if old == new else f"{model} {old} -> {new}"
        yield f"  {words.in_shadow.format(what=line) if move.shadow else line}"
    yield from (f"  {words.goes_out.format(step=step_text(step, words))}" for step in told.messages)
    active, idle = (at or words.no_alert for at in (told.next_alert_at, told.next_alert_at_without))
    yield f"  {words.next_alert.format(active=active, idle=idle)}"


def step_text(step: Step, words: Words) -> str:
    """Return what would go out as one line."""
    message: dict[str, Any] = step.message
    if step.topic == Output.SCORE_CHANGES:
        return str(message["summary"])
    if step.topic == Output.SHADOW_SCORES:
        return words.in_shadow.format(what=message["summary"])
    return words.alert.format(
        topic=step.topic,
        status=words.statuses[message["status"]],
        severity=words.severities[message["severity"]],
        summary=message["summary"],
    )


def number(value: float | None, words: Words) -> str:
    """Return a number with at most three decimals, a dash for none."""
    if value is None:
        return "-"
    return f"{value:.3f}".rstrip("0").rstrip(".").replace(".", words.decimal_mark)
