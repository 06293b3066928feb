"""What a component measures, in words, and what it measured when its contribution was last sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from schemas.catalogue import FACT_BY_NAME, FEATURE_BY_NAME
from streams.cells import NO_FACT
from streams.inverse import curve_of, metrics_between, points_between
from streams.layout import NONE
from streams.wording import form, many

if TYPE_CHECKING:
    from schemas.component import Component, Metric
    from schemas.words import Words

NO_VALUE: Final = NO_FACT
MANY_TIMES: Final = 10_000
"""Thousandths from which a share is not told more exactly: there was next to nothing before."""
_VALUE: Final = "\0"
"""Stands in a message where the value will."""


def metric_text(metric: Metric, words: Words, value: str = "") -> str:
    """Return what a metric measures, as in ``activity in 28 days against the 28 days before``, with its value if given."""
    given = {
        name: many(days, words.days, words)
        for name, days in (
            ("window", metric.window_days),
            ("lag", metric.lag_days),
            ("of", metric.of_days),
            ("half_life", metric.half_life_days),
        )
        if days is not None
    }
    return words.features[metric.feature].format(source=source_text(metric, words), value=value, **given)


def source_text(metric: Metric, words: Words) -> str:
    """Return the source, measurement or fact of a metric in words; empty if it has none."""
    names = {"fact": words.facts, "mean": words.measurements}.get(metric.feature, words.sources)
    return "" if metric.source is None else names[metric.source]


class Before(NamedTuple):
    """Between what a metric lay, that in words, and how a metric reads now that reads like all between them."""

    least: int
    most: int
    text: str
    now: str


class Measured:
    """The values of one component in one language; they stand between ``head``, a blank, and ``tail``."""

    def __init__(self, part: Component, words: Words) -> None:
        """Take from the catalogue what is needed."""
        feature = FEATURE_BY_NAME[part.metric.feature]
        self.head, _, self.tail = metric_text(part.metric, words, _VALUE).partition(_VALUE)
        self._curve = curve_of(part)
        self._is_share = feature.unit == "1"
        self._scale = 10 if self._is_share else feature.scale  # a share is told in percent
        self._percent = words.percent if self._is_share else "{n}"
        self._factor = words.factor if feature.name == "rhythm" else None
        self._mark, self._not_known = words.decimal_mark, words.not_known
        self._at_least, self._at_most = words.at_least, words.at_most
        codes = FACT_BY_NAME[part.metric.source or ""].values if feature.name == "fact" else ()
        self._categories = [words.categories[name] for name in codes]
        self._lists_all = len(part.table or codes) == len(codes)

    def value(self, metric: int) -> str:
        """Return a metric as a person reads it: a number of at most one decimal, a share in percent, a category in words."""
        if metric == NO_VALUE:
            return self._not_known
        if self._is_share and metric >= MANY_TIMES:
            return self._at_least.format(n=self._number(MANY_TIMES))
        return form(self._number(metric), self._factor) if self._factor else self._number(metric)

    def before(self, contribution: int, weight: int, whole: int) -> Before | None:
        """Return what was measured when a contribution was sent; None if it does not follow from it.

        Args:
            contribution: in thousandths, ``NONE`` if the component was missing.
            weight: what it weighed in the score.
            whole: by what the weighted sum was divided.
        """
        if contribution == NONE:
            return Before(NO_VALUE, NO_VALUE, self._not_known, self._not_known) if self._lists_all else None
        then = metrics_between(self._curve, *points_between(contribution, weight, whole))
        if then is None:
            return None
        least, most = self._number(then.least), self._number(then.most)
        if least == most:
            return Before(*then, least, self.value(then.least))
        if then.least > self._curve.least and then.most >= self._curve.most:
            return Before(*then, self._at_least.format(n=least), "")
        if then.least <= self._curve.least and then.most < self._curve.most:
            return Before(*then, self._at_most.format(n=most), "")
        return None

    def _number(self, metric: int) -> str:
        if self._categories:
            return self._categories[metric]
        tenths = (20 * metric + self._scale) // (2 * self._scale)
        whole, tenth = divmod(abs(tenths), 10)
        text = f"{whole}{self._mark}{tenth}" if tenth else str(whole)
        return self._percent.format(n=f"-{text}" if tenths < 0 else text)
