"""The view of an account: all its scores now, its open episode, its facts, and when something changes next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from schemas.outputs import AccountView, ComponentScore, DimensionScore, Episode, ModelScore
from schemas.reasons import Missing, Severity, rules_in
from schemas.records import OutputRecord
from schemas.topics import Output
from streams.cells import FOREVER
from streams.compiled import entry, int64, reference
from streams.conditions import GOOD_NEWS
from streams.effects import EVIDENCE_CELLS
from streams.evidence import gather_evidence
from streams.identity import cloud_event, identity
from streams.instants import instant_text
from streams.kernel import NOT_APPLICABLE
from streams.layout import (
    EPISODE,
    EPISODE_SINCE,
    HELD,
    HELD_FIRING,
    NO_OVERRIDE,
    NONE,
    NOW,
    OPEN,
    QUIET,
    SEVERITY,
)  # fmt: skip
from streams.levels import FIRST_BAND, OVERRIDE, band_name, grid_cell, override_points, points
from streams.messages import STORIES, reason
from streams.metrics import half_up, is_warming
from streams.plan import DENOMINATOR, DIM, DIM_END, PART, PART_END, PRESENT_BAND
from streams.score import contributions, dimension, has_evidence, override_of, weigh, weighted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from schemas.model_file import ModelFile
    from streams.accounts import Accounts
    from streams.cells import Cells
    from streams.plan import Plan

PRESENT, UNTOLD, WARMING = range(3)
_MISSING: Final = (None, Missing.NO_EVIDENCE, Missing.WARMING_UP)
"""What each of these says of a component's metric."""


@entry
def inspect(cells: Cells, plan: Plan, rows: npt.NDArray[np.int64], out: npt.NDArray[np.int64]) -> None:
    """Put what the models say of accounts at their present instants, and their evidence, into ``out``.

    Args:
        cells: the accounts.
        plan: what to compute.
        rows: (n,) int64.
        out: (n, cells of all models + ``EVIDENCE_CELLS``) int64: per model score, override, coverage,
            dimensions, contributions and why each is missing; then the evidence of the open reasons.
    """
    cells, plan = reference(cells), reference(plan)
    for i in range(len(rows)):
        row, used = rows[i], 0
        now = int64(cells.i64[row, NOW])
        for m in range(plan.models.shape[0]):
            model = plan.models[m]
            applies = cells.u8[row, model[PRESENT_BAND]] != NOT_APPLICABLE
            total, present, known = int64(0), int64(0), False
            evidence, score, override = int64(NONE), int64(NONE), int64(NO_OVERRIDE)
            if applies:
                total, present, _ = weigh(cells, plan, row, m, now)
                known = has_evidence(plan, cells.parts, m, present)
            out[i, used + 2] = half_up(1000 * present, model[DENOMINATOR])
            if known:
                total, present = weighted(plan, cells.parts, m)
                evidence = half_up(total, present)
            if applies:
                score, override = override_of(cells, plan, row, m, evidence, now)
            out[i, used], out[i, used + 1] = score, override
            used += 3
            for d in range(model[DIM], model[DIM_END]):
                out[i, used] = dimension(plan, cells.parts, m, d) if known else NONE
                used += 1
            if known:
                contributions(plan, cells.parts, m, evidence, present)
            for c in range(model[PART], model[PART_END]):
                out[i, used] = cells.parts[c] if known else NONE
                out[i, used + 1] = PRESENT
                if applies and cells.parts[c] == NONE:
                    out[i, used + 1] = WARMING if is_warming(cells, plan, row, c, now) else UNTOLD
                used += 2
        gather_evidence(cells, plan, row, int64(cells.u16[row, OPEN]), now, out[i, used:])


def _nothing_waits(_key: bytes, _topic: Output) -> bool:
    return False


def view_records(
    accounts: Accounts, rows: Sequence[int], is_held: Callable[[bytes, Output], bool] = _nothing_waits
) -> list[OutputRecord]:
    """Return the views of accounts, each as of its own present instant, as records of the ``accounts`` topic.

    ``is_held`` tells whether the brake holds the episode of an account, by its key and topic.
    """
    cells, program = accounts.cells, accounts.program
    width = sum(3 + len(model.dimensions) + 2 * len(model.components) for model in program.models)
    at, table = np.array(rows, np.int64), np.empty((len(rows), width + EVIDENCE_CELLS), np.int64)
    inspect(cells, accounts.plan, at, table)
    bands = cells.u8[at][:, accounts.plan.models[:, PRESENT_BAND]]
    known = zip(
        rows, cells.i64[at, NOW].tolist(), cells.due[at].tolist(), bands.tolist(), table.tolist(), strict=True
    )
    return [_view_record(accounts, is_held, *of_row) for of_row in known]


def _view_record(
    accounts: Accounts,
    is_held: Callable[[bytes, Output], bool],
    row: int,
    now: int,
    due: int,
    bands: list[int],
    found: list[int],
) -> OutputRecord:
    name, as_of, told = accounts.names[row], instant_text(now), iter(found)
    program, shadow = accounts.program, accounts.program.policy.shadow
    scores = [_score(model, band, told) for model, band in zip(program.models, bands, strict=True)]
    view = AccountView(
        account_id=name,
        as_of=as_of,
        scores=[score for score in scores if score.model not in shadow],
        episodes=_episodes(accounts, is_held, row, found[-EVIDENCE_CELLS:]),
        facts={fact: accounts.fact(row, fact, now) for fact in accounts.cold.get(row, {})},
        next_change_at=None if due >= FOREVER else instant_text(due),
        shadow=[score for score in scores if score.model in shadow],
    )
    headers = cloud_event(Output.ACCOUNTS, "accounts", identity("view", name, as_of), as_of)
    return OutputRecord(Output.ACCOUNTS, accounts.keys[row], msgspec.json.encode(view), headers)


def _score(model: ModelFile, band: int, told: Iterator[int]) -> ModelScore:
    score, override, coverage = next(told), next(told), next(told)
    dimensions = [DimensionScore(name=part.name, score=points(next(told))) for part in model.dimensions]
    components = [
        ComponentScore(name=part.name, contribution=points(next(told)), missing=_MISSING[next(told)])
        for part in model.components
    ]
    if override != NO_OVERRIDE:
        judged = override_points(override)
        components.append(ComponentScore(name=OVERRIDE, contribution=judged, missing=None))
    return ModelScore(
        model=model.model,
        version=model.version,
        score=points(score),
        scale=model.scale,
        band=band_name(model, band),
        coverage=coverage / 1000,
        grid=grid_cell(model, band),
        service=service_of(model, band),
        dimensions=dimensions,
        components=components,
    )


def service_of(model: ModelFile, code: int) -> str | None:
    """Return what the band of a cell's code entitles to, if the model says so."""
    if not model.bands or code < FIRST_BAND:
        return None
    return model.bands[min(code - FIRST_BAND, len(model.bands) - 1)].service


def _episodes(
    accounts: Accounts, is_held: Callable[[bytes, Output], bool], row: int, evidence: list[int]
) -> list[Episode]:
    cells, program, found = accounts.cells, accounts.program, []
    mask, slots = int(cells.u16[row, OPEN]), program.layout.rule_since
    for number, story in enumerate(STORIES):
        mine = mask & (GOOD_NEWS if number else ~GOOD_NEWS)
        if not mine:
            continue
        since = int(cells.i64[row, EPISODE_SINCE + number])
        ordinal = int(cells.i32[row, EPISODE + number])
        rules = rules_in(mine)
        found.append(
            Episode(
                episode_id=identity(story.episode, accounts.names[row], since, ordinal),
                topic=story.topic,
                since=instant_text(since),
                severity=Severity(int(cells.u8[row, SEVERITY + number])).label,
                told=int(cells.u8[row, HELD + number]) not in (QUIET, HELD_FIRING)
                and not is_held(accounts.keys[row], story.topic),
                reasons=[reason(program, rule, int(cells.i64[row, slots[rule]]), evidence) for rule in rules],
            )
        )
    return found
