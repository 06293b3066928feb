"""An explanation for people: tables of components, sentences of episodes, lines of what comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from agents.tables import table_text
from schemas.topics import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agents.explanation import ComponentTold, Explanation, IfActive, Step

HEADS: Final = ("component", "measures", "value", "points", "weight", "contribution")
NUMBERS: Final = ("points", "weight", "contribution")


def explanation_text(told: Explanation) -> str:
    """Return an explanation as text."""
    return "\n".join(
        [*_head(told), *_scores(told), *_episodes(told), *_ahead(told), *_active(told.if_active_now)]
    )


def _head(told: Explanation) -> Iterator[str]:
    yield f"{told.account_id}: {told.kind}, days of {told.time_zone}; last active {told.last_active_at or 'never'}"
    yield (
        f"state of {told.committed_at}, partition {told.partition} of {told.partitions}, "
        f"policy {told.policy} version {told.policy_version}; now is {told.now}"
    )
    if told.halted_by:
        yield f"{told.halted_by} has halted this partition: nothing of what follows happens until that is mended"


def _scores(told: Explanation) -> Iterator[str]:
    for model in told.models:
        yield ""
        yield (
            f"{model.model} version {model.version}: {number(model.score)} {model.band}, "
            f"coverage {model.weight_present}/{model.denominator}"
        )
        yield table_text(HEADS, map(_component_row, model.components), numbers=NUMBERS)
        if model.override is not None:
            yield f"manual judgement adds {number(model.override)}"


def _component_row(part: ComponentTold) -> list[str]:
    unit = "" if part.unit == "1" else f" {part.unit}"
    value = part.missing or f"{number(part.value)}{unit}"
    figures = [number(part.points), str(part.weight), number(part.contribution)]
    return [part.name, part.metric, value, *figures]


def _episodes(told: Explanation) -> Iterator[str]:
    yield ""
    if not told.episodes:
        yield "no open episode"
    for episode in told.episodes:
        yield f"open in {episode.topic} since {episode.since}, {episode.severity}:"
        yield from (f"  {sentence}" for sentence in episode.sentences)


def _ahead(told: Explanation) -> Iterator[str]:
    yield ""
    if not told.without_any_event:
        yield f"without any event nothing goes out in the next {told.days_ahead} days"
        return
    yield f"without any event, in the next {told.days_ahead} days:"
    for step in told.without_any_event:
        overdue = " (due already)" if step.effective_at <= told.now else ""
        yield f"  {step.effective_at}{overdue}  {step_text(step)}"


def _active(told: IfActive) -> Iterator[str]:
    yield ""
    yield f"if it logged in now ({told.at}):"
    if not told.is_activity:
        yield "  (the policy does not count a log-in as activity)"
    for move in told.scores:
        old, new = f"{number(move.old_score)} {move.old_band}", f"{number(move.new_score)} {move.new_band}"
        yield f"  {move.model} {old}: unchanged" if old == new else f"  {move.model} {old} -> {new}"
    yield from (f"  goes out: {step_text(step)}" for step in told.messages)
    active, idle = (at or "none in that time" for at in (told.next_alert_at, told.next_alert_at_without))
    yield f"  next alert without any further event: {active}; without the log-in: {idle}"


def step_text(step: Step) -> str:
    """Return what would go out as one line."""
    message = step.message
    if step.topic == Output.SCORE_CHANGES:
        return str(message["summary"])
    return f"{step.topic} {message['status']} ({message['severity']}): {message['summary']}"


def number(value: float | str | None) -> str:
    """Return a number with at most three decimals, a dash for none."""
    if value is None:
        return "-"
    return value if isinstance(value, str) else f"{value:.3f}".rstrip("0").rstrip(".")
