"""How an account stands with one model, and the message of a change of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.reasons import INSUFFICIENT_EVIDENCE
from tests.auditor.exact import decimal, identity, rfc3339
from tests.auditor.score import Scored, next_band, plain_band, unscored

if TYPE_CHECKING:
    from tests.auditor.settings import Model

Payload = dict[str, Any]
SCHEMA_VERSION = 1


@dataclass
class Standing:
    """How an account stands with one model, and what was sent of it last."""

    model: Model
    scored: Scored
    sent: Scored
    band: str = INSUFFICIENT_EVIDENCE
    sent_band: str = INSUFFICIENT_EVIDENCE
    band_index: int | None = None
    fell_at_ms: int | None = None
    ordinal: int = 0

    def move_to(self, scored: Scored, now_ms: int) -> None:
        """Take a new score and find its band."""
        self.scored = scored
        if scored.score is None:
            self.band, self.band_index = scored.word or "", None
            return
        if self.band_index is None:
            index = plain_band(self.model.bands, scored.score)
        else:
            index = next_band(self.model, self.band_index, scored.score, now_ms, self.fell_at_ms)
            if index < self.band_index:
                self.fell_at_ms = now_ms
        self.band, self.band_index = self.model.bands[index].name, index

    @property
    def is_material(self) -> bool:
        """Tell whether the score has to be sent."""
        old, new = self.sent.score, self.scored.score
        has_moved = old is not None and new is not None and abs(new - old) >= self.model.min_change
        return self.band != self.sent_band or has_moved

    def change(self, account_id: str, cause: Payload, now_ms: int) -> Payload:
        """Return the message of a score and remember it as sent."""
        self.ordinal += 1
        model, old, new = self.model, self.sent, self.scored
        payload: Payload = {
            "schema_version": SCHEMA_VERSION,
            "change_id": identity("change", account_id, model.name, self.ordinal),
            "account_id": account_id,
            "model": model.name,
            "model_version": model.version,
            "cause": cause,
            "effective_at": rfc3339(now_ms),
            "old": _head(old, self.sent_band),
            "new": _head(new, self.band),
            "scale": model.scale,
            "grid": None,
            "dimensions": _dimensions(model, old, new),
            "contributions": _contributions(model, old, new),
        }
        self.sent, self.sent_band = new, self.band
        return payload


def first_standing(model: Model) -> Standing:
    """Return how an account stands with a model before anything is known."""
    nothing = unscored(model, INSUFFICIENT_EVIDENCE, 0)
    return Standing(model, nothing, nothing)


def _head(scored: Scored, band: str) -> Payload:
    return {"score": decimal(scored.score), "band": band, "coverage": decimal(scored.coverage)}


def _dimensions(model: Model, old: Scored, new: Scored) -> list[Payload]:
    return [
        {"name": name, "old": decimal(before), "new": decimal(after)}
        for (name, _), before, after in zip(model.dimensions, old.dimensions, new.dimensions, strict=True)
    ]


def _contributions(model: Model, old: Scored, new: Scored) -> list[Payload]:
    """Return the parts of both scores; what is missing adds nothing, so the differences sum to the change."""
    names = [component.name for component in model.components]
    parts = list(zip(names, old.contributions, new.contributions, strict=True))
    if old.override is not None or new.override is not None:
        parts.append(("override", old.override, new.override))
    return [
        {
            "component": name,
            "old": decimal(before),
            "new": decimal(after),
            "delta": decimal((after or 0) - (before or 0)),
        }
        for name, before, after in parts
    ]
