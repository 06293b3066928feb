"""What is remembered of the first model for the rule `band_drop`: each day's last evidence, and the fall noted."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from tests.auditor.exact import DAY_MS, half_up


@dataclass
class BandDrop:
    """The past of the first model.

    Attributes:
        days: how long a fall counts, and over how many days before the best is sought.
        evidence: the evidence score in hundredths of the last evaluation of each day that has one.
        fallen_from: index of the band of the fall that is noted.
        fell_at_ms: when it was noted.
        was_overridden: an override was taken into account at the evaluation before.
    """

    days: int
    evidence: dict[int, int | None] = field(default_factory=dict)
    fallen_from: int | None = None
    fell_at_ms: int = 0
    was_overridden: bool = False

    def note(
        self,
        former: int | None,
        present: int | None,
        evidence: int | None,
        now_ms: int,
        day: int,
        *,
        is_overridden: bool,
    ) -> None:
        """Take note of an evaluation: bands by index, None if they are no real ones, and evidence in thousandths."""
        self.evidence[day] = None if evidence is None else half_up(Fraction(evidence, 10))
        has_fallen = former is not None and present is not None and present < former
        if has_fallen and not is_overridden and not self.was_overridden:
            if not self.is_fallen(former, now_ms):
                self.fallen_from = former
            self.fell_at_ms = now_ms
        self.was_overridden = is_overridden

    def begin_anew(self) -> None:
        """Forget the days before, and the fall."""
        self.evidence, self.fallen_from = {}, None

    def is_fallen(self, band: int | None, now_ms: int) -> bool:
        """Tell whether an account in a band is still below the one that it fell from, and not for too long."""
        is_below = self.fallen_from is not None and band is not None and band < self.fallen_from
        return is_below and now_ms < self.over_at_ms

    @property
    def over_at_ms(self) -> int:
        """Instant at which the fall that is noted no longer counts."""
        return self.fell_at_ms + self.days * DAY_MS

    def daily(self, day: int) -> int | None:
        """Return the last evidence of a day, or of the last one before it that has any evaluation."""
        first = min(self.evidence)
        while day > first and day not in self.evidence:
            day -= 1
        return self.evidence.get(day)

    def lost(self, day: int) -> int | None:
        """Return by how much the best of the days before exceeds what is present; None without one of them."""
        before = [self.daily(d) for d in range(day - self.days, day)]
        best = max((value for value in before if value is not None), default=None)
        present = self.daily(day)
        return None if best is None or present is None else best - present
