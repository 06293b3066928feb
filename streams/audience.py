"""To whom a model applies: the kind, segment, plan and age of an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from schemas.catalogue import FACT_BY_NAME, TEXT_FACTS
from streams.cells import FACT_EXPIRES, FACT_VALUE
from streams.compiled import int64, kernel
from streams.layout import ABSENT, DAY, FIRST_DAY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from schemas.model_file import ModelFile
    from streams.cells import Cells
    from streams.plan import Plan

KINDS, AGE_FROM, AGE_TO, TEXTS = range(4)
"""Columns of ``Plan.audiences``: a bit for each kind, the first and the last day of age, then of each of ``TEXT_FACTS`` its
slot, ``ABSENT`` where the model does not ask."""
AUDIENCE_COLUMNS: Final = TEXTS + len(TEXT_FACTS)
AGE_END: Final = 1 << 20
"""An age that no account reaches."""


def named_texts(models: Sequence[ModelFile]) -> dict[str, dict[str, int]]:
    """Return, for each fact of which models name texts, the number of each text, from 1 on over all of them."""
    named: dict[str, dict[str, int]] = {}
    last = 0
    for fact in TEXT_FACTS:
        texts = [text for model in models for text in getattr(model.applies_to, fact) or ()]
        if texts:
            named[fact] = {text: last + number for number, text in enumerate(dict.fromkeys(texts), 1)}
            last += len(named[fact])
    return named


def audiences(models: Sequence[ModelFile], facts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return to whom each model applies, (models, AUDIENCE_COLUMNS); ``facts`` are those that the plan reads, by slot."""
    rows = []
    for model in models:
        asked, age = model.applies_to, model.applies_to.age
        kinds = sum(1 << FACT_BY_NAME["kind"].values.index(kind) for kind in set(asked.kind))
        begin, end = (age.from_days or 1, age.to_days or AGE_END) if age else (1, AGE_END)
        slots = [ABSENT if getattr(asked, fact) is None else facts.index(fact) for fact in TEXT_FACTS]
        rows.append([kinds, begin, end, *slots])
    return np.array(rows, np.int64)


def names_asked(models: Sequence[ModelFile], named: Mapping[str, Mapping[str, int]]) -> npt.NDArray[np.int64]:
    """Return (models, texts + 1): 1 where a model names the text of that number."""
    table = np.zeros((len(models), 1 + sum(map(len, named.values()))), np.int64)
    for m, model in enumerate(models):
        for fact, numbers in named.items():
            for text in getattr(model.applies_to, fact) or ():
                table[m, numbers[text]] = 1
    return table


@kernel
def applies(cells: Cells, plan: Plan, row: int, m: int, kind: int, now: int) -> bool:
    """Return whether model ``m`` applies to an account of this kind at ``now``."""
    audience = plan.audiences[m]
    age = int64(cells.u16[row, DAY]) - int64(cells.u16[row, FIRST_DAY]) + 1
    if not (audience[KINDS] >> kind) & 1 or not audience[AGE_FROM] <= age <= audience[AGE_TO]:
        return False
    for column in range(TEXTS, AUDIENCE_COLUMNS):
        slot = audience[column]
        if slot != ABSENT and (
            cells.facts[row, slot, FACT_EXPIRES] <= now
            or plan.names_asked[m, cells.facts[row, slot, FACT_VALUE]] == 0
        ):
            return False
    return True
