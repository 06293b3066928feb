"""The layout of an account's row: cells grouped by type, fixed cells first, then what the enabled models need.

A row is one element of a structured array with a field per cell type (``i64``, ``f64``, ``i32``, ``u16``, ``u8``),
so its bytes are its changelog value. Slots are indices into a field; constants name the fixed ones, a ``Layout``
holds the others. Only the sources that enabled models read have rings.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.catalogue import SOURCE_BY_NAME, Signal, Source
from schemas.reasons import Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.model_file import ModelFile
    from schemas.policy import Policy

NEVER: Final = 0
"""Day cells: no such day yet (real days lie after 1990, far from 0)."""
NONE: Final = -1
"""Score cells: null; contribution and dimension cells: missing."""
UNSET: Final = -1
"""Instant cells: not set."""

NOW, LAST_ACTIVE, RISK_LAST, EPISODE_SINCE, I64_FIXED = range(5)
GAP_COUNT, GAP_SUM, F64_FIXED = range(3)
(EPISODE, SILENT_FOR, USUAL_GAP, PROBABILITY, ABSOLUTE_SILENT_FOR, I32_FIXED) = range(6)
DAY, FIRST_DAY, LAST_ACTIVE_DAY, GAPS, GAPS_KNOWN, RISK_COUNT, OPEN, U16_FIXED = range(8)
SEVERITY, RISK_ADMIN, VIEW_DUE, U8_FIXED = range(4)

WIDE, NARROW = range(2)
"""Ring types: u16 for sources of volume, u8 for incidents."""


class Ring(NamedTuple):
    """The daily counts of one source: tile of day d is cell ``offset + d % days`` of its field."""

    source: Source
    width: int
    offset: int
    days: int


class ModelSlots(NamedTuple):
    """Where a model keeps what it last sent."""

    fell_at: int
    sent_score: int
    change: int
    dimensions: int
    parts: int
    coverage: int
    band: int


class Layout(NamedTuple):
    """All slots of a row, its dtype, and the fingerprint that every changelog value carries."""

    rings: tuple[Ring, ...]
    last_day: int
    rule_since: dict[Rule, int]
    models: tuple[ModelSlots, ...]
    dtype: np.dtype[np.void]
    fingerprint: bytes


def enabled_rules(policy: Policy) -> list[Rule]:
    """Return the rules in force, in rule order."""
    return [rule for rule in Rule if getattr(policy.rules, rule.label, None) is not None]


def make_layout(policy: Policy, models: Sequence[ModelFile]) -> Layout:
    """Lay out the row for a policy and its enabled models."""
    rings = _rings(models)
    rules = enabled_rules(policy)
    rule_since = {rule: I64_FIXED + i for i, rule in enumerate(rules)}
    slots, sizes = _model_slots(models, i64=I64_FIXED + len(rules), i32=I32_FIXED, u8=U8_FIXED, u16=U16_FIXED)
    tiles = [sum(ring.days for ring in rings if ring.width == width) for width in (WIDE, NARROW)]
    last_day = sizes["u16"] + tiles[WIDE]
    counts = {
        "i64": sizes["i64"],
        "f64": F64_FIXED,
        "i32": sizes["i32"],
        "u16": last_day + len(rings),
        "u8": sizes["u8"] + tiles[NARROW],
    }
    rings = _place(rings, sizes)
    types = {"i64": np.int64, "f64": np.float64, "i32": np.int32, "u16": np.uint16, "u8": np.uint8}
    dtype = np.dtype([(name, types[name], (count,)) for name, count in counts.items()], align=True)
    text = repr(
        (counts, [(r.source.name, r.width, r.offset, r.days) for r in rings], rule_since, slots, last_day)
    )
    text += repr([[c.name for c in model.components] for model in models]) + repr([m.model for m in models])
    return Layout(rings, last_day, rule_since, slots, dtype, blake2b(text.encode(), digest_size=8).digest())


def template(layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return one fresh row (shape ``(1,)``): nothing counted, nothing sent."""
    row = np.zeros(1, layout.dtype)
    row["i64"] = UNSET
    for slots in layout.models:
        row["i32"][0, slots.sent_score] = NONE
    for start, end in _sent_ranges(layout):
        row["i32"][0, start:end] = NONE
    return row


def _sent_ranges(layout: Layout) -> list[tuple[int, int]]:
    ends = [slots.sent_score for slots in layout.models[1:]] + [layout.dtype["i32"].shape[0]]
    return [(slots.dimensions, end) for slots, end in zip(layout.models, ends, strict=True)]


def _rings(models: Sequence[ModelFile]) -> tuple[Ring, ...]:
    days: dict[str, int] = {}
    for model in models:
        for metric in (component.metric for component in model.components):
            if metric.feature not in ("fact", "rhythm") and metric.source is not None:
                needed = (metric.window_days or 0) + (metric.lag_days or 0)
                days[metric.source] = max(days.get(metric.source, 0), needed)
    sources = sorted((SOURCE_BY_NAME[name] for name in days), key=lambda source: source.bit)
    widths = {source: WIDE if source.signal is Signal.VOLUME else NARROW for source in sources}
    return tuple(Ring(source, widths[source], 0, days[source.name]) for source in sources)


def _place(rings: tuple[Ring, ...], sizes: dict[str, int]) -> tuple[Ring, ...]:
    free = {WIDE: sizes["u16"], NARROW: sizes["u8"]}
    placed = []
    for ring in rings:
        placed.append(ring._replace(offset=free[ring.width]))
        free[ring.width] += ring.days
    return tuple(placed)


def _model_slots(
    models: Sequence[ModelFile], *, i64: int, i32: int, u8: int, u16: int
) -> tuple[tuple[ModelSlots, ...], dict[str, int]]:
    slots = []
    for model in models:
        dimensions = i32 + 2
        parts = dimensions + len(model.dimensions)
        slots.append(ModelSlots(i64, i32, i32 + 1, dimensions, parts, u16, u8))
        i64, i32, u16, u8 = i64 + 1, parts + len(model.components), u16 + 1, u8 + 1
    return tuple(slots), {"i64": i64, "i32": i32, "u16": u16, "u8": u8}
