"""A score change that fills a form has by every byte what the struct of the contract, encoded, has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from agents.program import load_model, shipped
from schemas.outputs import Cause, Contribution, DimensionChange, Level, ScoreChange
from schemas.reasons import CauseKind
from streams import effects as fx
from streams.change_form import ChangeForm, ChangeForms
from streams.change_text import ChangeText
from streams.layout import NO_OVERRIDE, NONE
from streams.wording import CATALOGUES

if TYPE_CHECKING:
    from schemas.model_file import ModelFile

ROUNDS = 60
WORDS = CATALOGUES["en"]
ACCOUNTS = ("acme", 'quote"s and \\', "100 %b %s %", "España ☃", "a" * 300)
EVENT = Cause(kind=CauseKind.EVENT, topic="logins", event_id='e"%d', partition=3, offset=1 << 40)
TIME = Cause(kind=CauseKind.TIME, topic=None, event_id=None, partition=None, offset=None)


def decimal(thousandths: int) -> float | None:
    return None if thousandths == NONE else thousandths / 1000


def moved(old: int, new: int) -> float:
    return ((0 if new == NONE else new) - (0 if old == NONE else old)) / 1000


class Drawn:
    """The line of a change, and what it says."""

    def __init__(self, model: ModelFile, random: np.random.Generator) -> None:
        dims, parts = len(model.dimensions), len(model.components)
        bands = len(model.band_names)
        self.old, self.new = (self._level(random, bands) for _ in range(2))
        self.dims = [self._points(random, 100_000) for _ in range(2 * dims)]
        self.parts = [self._points(random, 40_000) for _ in range(2 * parts)]
        self.judged = [
            NO_OVERRIDE if random.random() < 0.5 else int(random.integers(-100_000, 100_001))
            for _ in range(2)
        ]
        self.measured = random.integers(0, 2, parts).tolist()
        self.line = [0] * fx.SCORE_HEAD
        self.line[fx.OLD_SCORE : fx.OLD_COVERAGE + 1] = self.old
        self.line[fx.NEW_SCORE : fx.NEW_COVERAGE + 1] = self.new
        self.line[fx.IS_KNOWN] = self.is_known = int(random.integers(0, 2))
        self.line += [*self.dims, *self.parts, *self.judged, *self.measured]
        self.line += [
            max(new, 0) - max(old, 0) for old, new in zip(self.parts[:parts], self.parts[parts:], strict=True)
        ]
        self.line += [7] * 20  # wider than it needs

    @staticmethod
    def _points(random: np.random.Generator, most: int) -> int:
        dice = random.random()  # few thousandths: so that some move by one
        return NONE if dice < 0.2 else int(random.integers(0, 3 if dice < 0.4 else most + 1))

    def _level(self, random: np.random.Generator, bands: int) -> list[int]:
        return [
            self._points(random, 100_000),
            int(random.integers(0, bands + 4)),  # there may have been more bands once
            int(random.integers(0, 1001)),
        ]


def band(model: ModelFile, code: int) -> str:
    names = ["insufficient_evidence", "not_applicable", *model.band_names]
    return names[min(code, len(names) - 1)]


def level(model: ModelFile, drawn: list[int]) -> Level:
    return Level(score=decimal(drawn[0]), band=band(model, drawn[1]), coverage=drawn[2] / 1000)


def expected(model: ModelFile, before: ModelFile, drawn: Drawn, account: str, cause: Cause) -> ScoreChange:
    dims, parts = len(model.dimensions), len(model.components)
    old, new = drawn.judged
    judged, delta = [], 0.0
    if [old, new] != [NO_OVERRIDE, NO_OVERRIDE]:
        was, now = (None if each == NO_OVERRIDE else each / 1000 for each in drawn.judged)
        delta = ((0 if new == NO_OVERRIDE else new) - (0 if old == NO_OVERRIDE else old)) / 1000
        judged = [Contribution(component="override", old=was, new=now, delta=delta)]
    deltas = [moved(drawn.parts[c], drawn.parts[parts + c]) for c in range(parts)]
    summary = ChangeText(model, WORDS).summary(
        drawn.old[0],
        drawn.new[0],
        band(before, drawn.old[1]),
        band(model, drawn.new[1]),
        [round(1000 * each) for each in [*deltas, delta]],
        drawn.parts[:parts] if drawn.is_known else None,
        drawn.measured,
    )
    return ScoreChange(
        change_id="0f" * 16,
        account_id=account,
        model=model.model,
        model_version=model.version,
        cause=cause,
        effective_at="2026-03-01T00:00:00.000Z",
        old=level(before, drawn.old),
        new=level(model, drawn.new),
        scale=model.scale,
        grid=band(model, drawn.new[1]) if model.grid and drawn.new[1] >= 2 else None,
        dimensions=[
            DimensionChange(name=group.name, old=decimal(drawn.dims[d]), new=decimal(drawn.dims[dims + d]))
            for d, group in enumerate(model.dimensions)
        ],
        contributions=[
            Contribution(
                component=part.name,
                old=decimal(drawn.parts[c]),
                new=decimal(drawn.parts[parts + c]),
                delta=deltas[c],
            )
            for c, part in enumerate(model.components)
        ]
        + judged,
        summary=summary,
    )


def filled(form: ChangeForm, drawn: Drawn, account: str, cause: Cause) -> bytes:
    """Return the change that is the second of three lines in the notebook of three models."""
    lines = np.zeros((3, len(drawn.line)), np.int64)
    lines[1] = drawn.line
    lines[1, fx.KIND], lines[1, fx.MODEL] = fx.SCORE_CHANGE, 1
    lines[0, fx.KIND], lines[2, fx.KIND] = fx.DISENGAGEMENT, fx.END
    other = ChangeForm(load_model("retention"), WORDS)
    before, numbers, after = ChangeForms((other, form, other)).numbers(lines)
    assert (before, after) == (b"", b"")
    return form.fill(drawn.line, numbers, "0f" * 16, account, cause, "2026-03-01T00:00:00.000Z")


@pytest.mark.parametrize("name", sorted(shipped("models")))
def test_a_filled_form_is_the_encoded_struct(name: str) -> None:
    model = load_model(name)
    form, random = ChangeForm(model, WORDS), np.random.default_rng(sorted(shipped("models")).index(name))
    for round_ in range(ROUNDS):
        drawn, account, cause = (
            Drawn(model, random),
            ACCOUNTS[round_ % len(ACCOUNTS)],
            (EVENT, TIME)[round_ % 2],
        )
        body = filled(form, drawn, account, cause)
        assert body == msgspec.json.encode(expected(model, model, drawn, account, cause))


@pytest.mark.parametrize("name", sorted(shipped("models")))
def test_a_notebook_full_of_the_longest_numbers_has_room(name: str) -> None:
    model, most = load_model(name), 2**63 - 1
    forms = ChangeForms([ChangeForm(model, WORDS)])
    parts = 2 * len(model.dimensions) + 4 * len(model.components)
    lines = np.full((20, fx.SCORE_HEAD + parts + 2), -most)
    lines[:, fx.KIND], lines[:, fx.MODEL] = fx.SCORE_CHANGE, 0
    lines[:, [fx.OLD_BAND, fx.NEW_BAND]] = 2
    judged = fx.SCORE_HEAD + 2 * len(model.dimensions) + 2 * len(model.components)
    lines[:, [judged, judged + 1]] = -(most // 2), most // 2
    numbers = forms.numbers(lines)
    assert len(set(numbers)) == 1
    assert numbers[0].count(b"%d.%03d" % divmod(most, 1000)) == parts - len(model.components) + 4
    assert len(numbers[0]) <= forms.bytes_max


def test_the_band_before_is_told_in_the_words_of_the_model_before() -> None:
    now, before = load_model("retention"), load_model("guide")
    drawn = Drawn(now, np.random.default_rng(1))
    drawn.line[fx.OLD_BAND] = drawn.old[1] = 3
    body = filled(ChangeForm(now, WORDS).leaving(before), drawn, "acme", TIME)
    told = msgspec.json.decode(body, type=ScoreChange)
    assert told.old.band == before.band_names[1] != now.band_names[1]
    assert body == msgspec.json.encode(expected(now, before, drawn, "acme", TIME))
