"""The layout of an account's row: named columns of cells, fixed ones first, then what the models and rules in force need.

A row is one element of a structured array with a field per cell type (``i64``, ``f64``, ``i32``, ``u16``, ``u8``),
so its bytes, packed, are its changelog value. Slots are indices into a field; constants name the fixed ones, a ``Layout``
holds the others, ``ABSENT`` for what nothing in force reads.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from schemas.catalogue import FORGOTTEN_DAYS, MEASUREMENTS, SOURCE_BY_NAME, Signal, Source
from schemas.component import POINTS_MAX
from schemas.reasons import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from schemas.component import Metric
    from schemas.model_file import ModelFile
    from schemas.policy import Policy

NEVER: Final = 0
"""Day cells: no such day yet (real days lie after 1990, far from 0)."""
NONE: Final = -1
"""Score cells: null; contribution and dimension cells: missing."""
UNSET: Final = -1
"""Instant cells: not set."""
NO_OVERRIDE: Final = -(1 << 30)
"""Override cells: no manual judgement in force."""
NO_DAILY: Final = 65_535
"""Cells of daily scores: null."""
ABSENT: Final = -1
"""A slot of something that is not laid out."""

STATE_VERSION: Final = 2
"""What the cells of a column mean and how a row stands in the changelog (1: unpacked): raised with a change of that."""
FINGERPRINT_BYTES: Final = 8
TYPES: Final = {"i64": np.int64, "f64": np.float64, "i32": np.int32, "u16": np.uint16, "u8": np.uint8}
_FIXED: Final = {
    "i64": ("now", "last_active", "risk_last", "episode_since", "opportunity_since"),
    "f64": ("gap_count", "gap_sum"),
    "i32": ("episode", "opportunity", "silent_for", "usual_gap", "probability", "absolute_silent_for", "zone"),
    "u16": (
        "day", "first_day", "last_active_day", "last_event_day", "gaps", "gaps_known", "risk_count", "open", "returned_day",
        "silent_days",
    ),
    "u8": ("severity", "opportunity_severity", "risk_admin", "view_due", "user_seen", "held", "opportunity_held"),
}  # fmt: skip
_RHYTHM: Final = ("gap_count", "gap_sum", "gaps")
"""Fixed columns that are counted in the rhythm's unit."""
NOW, LAST_ACTIVE, RISK_LAST, EPISODE_SINCE, OPPORTUNITY_SINCE = range(5)
GAP_COUNT, GAP_SUM = range(2)
EPISODE, OPPORTUNITY, SILENT_FOR, USUAL_GAP, PROBABILITY, ABSOLUTE_SILENT_FOR, ZONE = range(7)
(
    DAY, FIRST_DAY, LAST_ACTIVE_DAY, LAST_EVENT_DAY, GAPS, GAPS_KNOWN, RISK_COUNT, OPEN, RETURNED_DAY, SILENT_DAYS,
) = range(10)  # fmt: skip
SEVERITY, OPPORTUNITY_SEVERITY, RISK_ADMIN, VIEW_DUE, USER_SEEN, HELD, OPPORTUNITY_HELD = range(7)
NOTHING, QUIET, HELD_ESCALATED, HELD_FIRING = range(4)
"""What is held of an episode, not having been sent: nothing; that it was opened by a change of policy alone, which is told once
more happens to the account; while alerts are muted that it rose, or that it fires."""
RULE_GONE, GOOD_RULE_GONE = 14, 15
"""Bits of ``OPEN`` above those of the rules: a reason was open whose rule, of disengagement or opportunity, is no longer
in force."""

WIDE, NARROW, BITS = range(3)
"""Ring types: u16 for sources of volume, u8 for incidents, a bit of u8 a day where only active days are read."""
BUCKETS: Final = 128
"""Buckets of users, each with the newest day of one of its users."""
TICKETS, PAYMENTS = 6, 4
"""Tickets and payments that an account is remembered with."""
ACTIVE_BYTES: Final = 16
"""The set of active days: a bit for each of the last 128."""
USER_DAYS: Final = 255
"""Days for which a bucket is remembered."""
SPIKE_DAYS: Final = 35
KNOWN_WEEKS: Final = 0
KNOWN_ACTIVE, KNOWN_USERS, KNOWN_FEATURES, KNOWN_TICKETS, KNOWN_PAYMENTS, KNOWN_RINGS = range(
    len(MEASUREMENTS), len(MEASUREMENTS) + 6
)
"""Where in a layout's ``knowledge`` each stands: a measurement behind the other, after the rings the sums, then the models:
of one it is not known what it measured when it last sent a score, if its file was another one then."""


class Column(NamedTuple):
    """Cells of one type that belong together, by a name that says the same in every layout.

    ``span`` is how many days (of a column by weeks: weeks) a ring holds, 0 for what is no ring; that of d is number
    ``d % span``, a cell or, of type ``u8`` with fewer cells than that, a bit.
    """

    name: str
    type: str
    offset: int
    cells: int
    span: int = 0


class Knowledge(NamedTuple):
    """Something that is told of days, some of which it may not know after a change of layout.

    ``days`` is how many days back it is read at most, the present one included; 0 without a limit.
    """

    name: str
    days: int


class Ring(NamedTuple):
    """The daily counts, sums or bits of one source: tile of day d is number ``d % days`` from ``offset`` on."""

    source: Source
    width: int
    offset: int
    days: int


class Weeks(NamedTuple):
    """The weekly sums and numbers of one measurement: of week w in cells ``offset + w % weeks``."""

    sums: int
    numbers: int
    weeks: int


class DropSlots(NamedTuple):
    """Daily scores of the first model, and its last fall: when, from which band, whether it was pinned before."""

    daily: int
    fell_at: int
    fell_from: int
    overridden: int


class ModelSlots(NamedTuple):
    """Where a model keeps what it last sent."""

    fell_at: int
    sent_score: int
    change: int
    override: int
    dimensions: int
    parts: int
    coverage: int
    band: int


class Layout(NamedTuple):
    """All slots of a row, its columns and dtype, and the fingerprint that every changelog value carries."""

    rings: tuple[Ring, ...]
    last_day: int
    sums: tuple[Ring, ...]
    currency: int
    active: int
    users: int
    tickets: tuple[int, int]
    payments: tuple[int, int]
    first_use: int
    weeks: tuple[Weeks, ...]
    drop: DropSlots
    rule_since: dict[Rule, int]
    models: tuple[ModelSlots, ...]
    knowledge: tuple[Knowledge, ...]
    columns: tuple[Column, ...]
    dtype: np.dtype[np.void]
    fingerprint: bytes


class _Columns:
    """Hands out cells, column after column."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.sizes = dict.fromkeys(TYPES, 0)

    def add(self, kind: str, name: str, cells: int = 1, span: int = 0) -> int:
        offset = self.sizes[kind]
        self.columns.append(Column(name, kind, offset, cells, span))
        self.sizes[kind] += cells
        return offset

    def add_if(self, condition: bool, kind: str, name: str, cells: int) -> int:  # noqa: FBT001
        return self.add(kind, name, cells) if condition else ABSENT


def enabled_rules(policy: Policy) -> list[Rule]:
    """Return the rules in force, in rule order."""
    return [rule for rule in Rule if getattr(policy.rules, rule.label, None) is not None]


def make_layout(policy: Policy, models: Sequence[ModelFile]) -> Layout:
    """Lay out the row for a policy and its enabled models."""
    columns, rules = _Columns(), policy.rules
    for kind, names in _FIXED.items():
        for name in names:
            columns.add(kind, f"{name} in {_unit(policy)}" if name in _RHYTHM else name)
    metrics = [component.metric for model in models for component in model.components]
    features = {metric.feature for metric in metrics}
    rule_since = {rule: columns.add("i64", f"rule {rule.label}: since") for rule in enabled_rules(policy)}
    ring_days = _ring_days(policy, metrics)
    counted = _counted(policy, metrics)
    rings = tuple(
        _ring(columns, source, days, is_counted=source.name in counted) for source, days in ring_days.items()
    )
    last_days = [columns.add("u16", f"last day {source.name}") for source in ring_days]
    sum_days = _longest((metric.source, metric.window_days) for metric in metrics if metric.feature == "sum")
    sums = tuple(
        Ring(source, WIDE, columns.add("i64", f"sum {source.name}", days, days), days)
        for source, days in sum_days.items()
    )
    weeks = tuple(_weeks(columns, metrics, measurement.name) for measurement in MEASUREMENTS)
    has_tickets = rules.ticket_trouble is not None or "open_tickets" in features or weeks[1].weeks > 0
    has_payments = rules.payment_trouble is not None or "late_payments" in features
    has_users = rules.users_leaving is not None or not features.isdisjoint(("users", "user_share"))
    has_days = rules.decline is not None or rules.reengaged is not None
    uses = policy.key_features if not features.isdisjoint(("key_features", "first_use")) else {}
    first_use = [columns.add("u16", f"{end} use {name}") for end in ("first", "last") for name in uses]
    slots = Layout(
        rings=rings,
        last_day=last_days[0] if last_days else ABSENT,
        sums=sums,
        currency=columns.add_if(bool(sums), "u16", "currency", 1),
        active=columns.add_if(has_days, "u8", "active days", ACTIVE_BYTES),
        users=columns.add_if(has_users, "u8", "users", BUCKETS),
        tickets=_slots(columns, "tickets", TICKETS) if has_tickets else (ABSENT, ABSENT),
        payments=_slots(columns, "payments", PAYMENTS) if has_payments else (ABSENT, ABSENT),
        first_use=first_use[0] if first_use else ABSENT,
        weeks=weeks,
        drop=_drop(columns, policy, models),
        rule_since=rule_since,
        models=tuple(_model(columns, model) for model in models),
        knowledge=_knowledge(rings, sums, weeks, models),
        columns=(),
        dtype=np.dtype([]),
        fingerprint=b"",
    )
    text = repr((STATE_VERSION, [tuple(column) for column in columns.columns]))
    return slots._replace(
        columns=tuple(columns.columns),
        dtype=row_dtype(columns.columns),
        fingerprint=blake2b(text.encode(), digest_size=FINGERPRINT_BYTES).digest(),
    )


def row_dtype(columns: Iterable[Column]) -> np.dtype[np.void]:
    """Return the type of a row with these columns, of whole words: numpy leaves the bytes of padding as it finds them."""
    sizes = dict.fromkeys(TYPES, 0)
    for column in columns:
        sizes[column.type] = max(sizes[column.type], column.offset + column.cells)
    sizes["u8"] += -sum(np.dtype(TYPES[name]).itemsize * count for name, count in sizes.items()) % 8
    return np.dtype([(name, TYPES[name], (count,)) for name, count in sizes.items()], align=True)


def template(layout: Layout) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return one fresh row (shape ``(1,)``): nothing counted, nothing sent."""
    row = np.zeros(1, layout.dtype)
    row["i64"] = UNSET
    for ring in layout.sums:
        row["i64"][0, ring.offset : ring.offset + ring.days] = 0
    for slots in layout.models:
        row["i32"][0, slots.sent_score] = NONE
        row["i32"][0, slots.override] = NO_OVERRIDE
    for column in layout.columns:
        if column.name.endswith(_SENT):
            row["i32"][0, column.offset] = NONE
        elif column.name.startswith(_DAILY):
            row["u16"][0, column.offset : column.offset + column.cells] = NO_DAILY
    return row


_SENT: Final = ": sent part"
_DAILY: Final = "daily scores "
CHANGES: Final = ": changes"
"""How the name of a column ends that counts a model's changes."""


def _unit(policy: Policy) -> str:
    """Return the unit in which gaps are counted."""
    if policy.rhythm.unit == "hour":
        return "hours"
    return "days" if policy.calendar is None else "working days"


def _longest(spans: Iterable[tuple[str | None, int | None]]) -> dict[Source, int]:
    """Return the longest span in days by source, in the order of the sources."""
    days: dict[str, int] = {}
    for name, span in spans:
        if name is not None:
            days[name] = max(days.get(name, 0), span or 0)
    return {source: days[name] for name, source in SOURCE_BY_NAME.items() if name in days}


def _rule_days(policy: Policy) -> dict[str, int]:
    """Return the days that rules count of sources."""
    rules, days = policy.rules, {}
    if rules.ticket_trouble:
        days["tickets_opened"] = SPIKE_DAYS
    if rules.usage_surge:
        days["activity"] = rules.usage_surge.window_days + rules.usage_surge.baseline_days
    if rules.upgrade_interest:
        days["upgrade_pages"] = rules.upgrade_interest.window_days
    return days


def _ring_days(policy: Policy, metrics: Sequence[Metric]) -> dict[Source, int]:
    spans: list[tuple[str | None, int | None]] = [
        (metric.source, (metric.window_days or 0) + (metric.lag_days or 0) + (metric.feature == "pattern"))
        for metric in metrics
        if metric.feature not in ("fact", "mean", "sum")
    ]
    return _longest([*spans, *_rule_days(policy).items()])


def _counted(policy: Policy, metrics: Sequence[Metric]) -> set[str | None]:
    """Return the sources of which more is read than whether there was an event on a day."""
    return {m.source for m in metrics if m.feature not in ("active_days", "since_last")} | _rule_days(
        policy
    ).keys()


def _ring(columns: _Columns, source: Source, days: int, *, is_counted: bool) -> Ring:
    if not is_counted:
        return Ring(source, BITS, columns.add("u8", f"days {source.name}", -(-days // 8), days), days)
    width, kind = (WIDE, "u16") if source.signal is Signal.VOLUME else (NARROW, "u8")
    return Ring(source, width, columns.add(kind, f"count {source.name}", days, days), days)


def _weeks(columns: _Columns, metrics: Sequence[Metric], name: str) -> Weeks:
    windows = [m.window_days or 0 for m in metrics if m.feature == "mean" and m.source == name]
    weeks = max(windows, default=0) // 7
    if weeks == 0:
        return Weeks(ABSENT, ABSENT, 0)
    return Weeks(
        columns.add("i32", f"week {name}: sum", weeks, weeks),
        columns.add("u16", f"week {name}: number", weeks, weeks),
        weeks,
    )


def _drop(columns: _Columns, policy: Policy, models: Sequence[ModelFile]) -> DropSlots:
    if policy.rules.band_drop is None:
        return DropSlots(ABSENT, ABSENT, ABSENT, ABSENT)
    first = _sized(models[0])
    days, name = policy.rules.band_drop.days + 1, f"fall of {first}"
    return DropSlots(
        columns.add("u16", f"{_DAILY}{first}", days, days),
        columns.add("i64", f"{name}: at"),
        columns.add("u8", f"{name}: from"),
        columns.add("u8", f"{name}: overridden"),
    )


def _knowledge(
    rings: Sequence[Ring], sums: Sequence[Ring], weeks: Sequence[Weeks], models: Sequence[ModelFile]
) -> tuple[Knowledge, ...]:
    measured = zip(MEASUREMENTS, weeks, strict=True)
    return (
        *(Knowledge(f"week {measurement.name}", 7 * kept.weeks) for measurement, kept in measured),
        Knowledge("active days", 8 * ACTIVE_BYTES),
        Knowledge("users", USER_DAYS),
        Knowledge("key features", 0),
        Knowledge("tickets", FORGOTTEN_DAYS + 1),
        Knowledge("payments", FORGOTTEN_DAYS + 1),
        *(Knowledge(f"source {ring.source.name}", ring.days) for ring in rings),
        *(Knowledge(f"sum {ring.source.name}", ring.days) for ring in sums),
        *(Knowledge(f"model {_sized(model)}", 0) for model in models),
    )


def _slots(columns: _Columns, name: str, slots: int) -> tuple[int, int]:
    """Return where the hashes begin (instants follow them) and the states."""
    return columns.add("i32", f"{name}: id and instant", 2 * slots), columns.add(
        "u8", f"{name}: state", slots
    )


def _sized(model: ModelFile) -> str:
    """Return a model's name as columns have it: with another scale, or with a grid of another size, it is another model."""
    scale = "" if model.scale == (0, POINTS_MAX) else " on {}..{}".format(*model.scale)
    return model.model + scale + (" by {} x {}".format(*map(len, model.levels)) if model.grid else "")


def _model(columns: _Columns, model: ModelFile) -> ModelSlots:
    name = f"model {_sized(model)}"
    fell_at = columns.add("i64", f"{name}: fell at", len(model.levels))
    score = columns.add("i32", f"{name}: sent score")
    change = columns.add("i32", f"{name}{CHANGES}")
    override = columns.add("i32", f"{name}: sent override")
    dimensions = [columns.add("i32", f"{name}: {part.name}{_SENT}") for part in model.dimensions]
    parts = [columns.add("i32", f"{name}: {part.name} component{_SENT}") for part in model.components]
    coverage = columns.add("u16", f"{name}: sent coverage")
    band = columns.add("u8", f"{name}: band")
    measures = blake2b(model.measures.encode(), digest_size=FINGERPRINT_BYTES).hexdigest()
    columns.add("u8", f"{name}: by {measures}", 0)  # no cell: a row of other measures is of another layout
    return ModelSlots(fell_at, score, change, override, dimensions[0], parts[0], coverage, band)
