"""How accounts end, by section 11 of `docs/semantics.md`: erased, retired; and how many a partition may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.auditor.exact import DAY_MS, xxh3

HASHES_MAX = 10_000
FORGOTTEN_MS = 90 * DAY_MS
SECONDS_TO_1990 = 631_152_000


class Ends(NamedTuple):
    """What a policy says of the ends of accounts."""

    closed_days: int | None
    quiet_days: int | None
    erased_ms: int
    accounts_max: int

    def retires(self, day: int, last_event_day: int, *, is_closed: bool) -> bool:
        """Tell whether an account without an event since a day retires as another one begins."""
        is_over = (
            limit is not None and day >= last_event_day + limit
            for limit in (self.quiet_days, self.closed_days)
        )
        is_quiet, is_closed_long = is_over
        return is_quiet or (is_closed_long and is_closed)


def read_ends(policy: dict[str, Any]) -> Ends:
    retire = policy.get("retire") or {}
    days = policy.get("erased_days", 30)
    return Ends(
        retire.get("closed_days"),
        retire.get("quiet_days"),
        days * DAY_MS,
        policy.get("accounts_max", 250_000),
    )


@dataclass
class Erasures:
    """What a partition remembers of accounts that were erased or merged: by hash the instant up to which they are left out.

    Attributes:
        until_ms: that instant; what is later is taken.
        merged: those that a merge remembered last.
    """

    until_ms: dict[int, int] = field(default_factory=dict)
    merged: set[int] = field(default_factory=set)

    def remembers(self, account_id: str) -> bool:
        return xxh3(account_id) in self.until_ms

    def leave_out(self, account_id: str, time_ms: int) -> bool:
        """Tell whether an event of an account is left out."""
        return self.remembers(account_id) and time_ms <= self.until_ms[xxh3(account_id)]

    def is_merged(self, account_id: str) -> bool:
        """Tell whether a merge remembered an account last."""
        return xxh3(account_id) in self.merged

    def remember(self, account_id: str, until_ms: int, *, by_merge: bool = False) -> None:
        """Remember an account; forget those of long ago, and those that are too many."""
        mine = xxh3(account_id)
        until_ms = max(until_ms, self.until_ms.get(mine, until_ms))
        self.until_ms[mine] = until_ms
        self.merged = self.merged | {mine} if by_merge else self.merged - {mine}
        self.until_ms = {hashed: u for hashed, u in self.until_ms.items() if u >= until_ms - FORGOTTEN_MS}
        while len(self.until_ms) > HASHES_MAX:
            del self.until_ms[min(self.until_ms, key=lambda hashed: (self.until_ms[hashed], hashed))]
