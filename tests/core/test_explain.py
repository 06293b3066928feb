"""What components measure, as `latido explain` reads it, is what the score is made of."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from streams.explain import measured
from streams.views import view_records
from tests.core.conftest import Machine, company

if TYPE_CHECKING:
    from streams.plan import Program


def test_weighted_points_are_the_score_and_what_is_missing_has_no_contribution(program: Program) -> None:
    machine = Machine(program, company(seed=5, accounts=8, days=70))
    machine.run(random.Random(5), rows_max=50_000)
    accounts, scored, missing = machine.partition.accounts, 0, 0
    rows = accounts.existing()
    for row, record in zip(rows, view_records(accounts, rows), strict=True):
        view, told = json.loads(record.value), iter(measured(accounts, row))
        for model, score in zip(program.models, view["scores"], strict=True):
            found = [(part, *next(told)) for part in model.components]
            if score["score"] is None:
                continue
            present = [(part.weight, points) for part, _, points in found if points is not None]
            total = sum(weight * points for weight, points in present)
            assert abs(total / sum(weight for weight, _ in present) - 1000 * score["score"]) <= 0.5
            contributions = [part["contribution"] for part in score["components"]]
            assert [points is None for _, _, points in found] == [c is None for c in contributions]
            assert all(points is None for _, x, points in found if x is None)
            scored, missing = scored + 1, missing + contributions.count(None)
    assert len(rows) == 8
    assert scored > 8
    assert missing > 0
