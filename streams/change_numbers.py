"""What of score changes is not text, as JSON: of all changes that the kernel noted at once.

A change has some forty numbers between names that never change. What a model's changes share is a list of segments, each
a text and a blank behind it; a compiled function writes texts and numbers of each change behind each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from streams import effects as fx
from streams.compiled import copy, entry, int64, kernel
from streams.layout import NO_OVERRIDE, NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Bytes = npt.NDArray[np.uint8]
    Cells = npt.NDArray[np.int64]

BEGIN, END, BLANK, COLUMN, NAMES, NAMES_END, SEGMENT_CELLS = range(7)
"""A segment: where its text lies, its blank, of which cell of the line; of a name, which ones of ``names`` it may be."""
NOTHING, POINTS, MOVE, JUDGED, JUDGED_MOVE, UNLESS_JUDGED, NAME = range(7)
"""Blanks. Points, and what manual judgement adds, may be null; UNLESS_JUDGED skips what is told where somebody judges."""
JUDGED_SEGMENTS: Final = 4
NUMBER_BYTES_MAX: Final = 24
MINUS, POINT, ZERO = b"-.0"
NULL: Final = b"null"
TEN, HUNDRED, THOUSAND = 10, 100, 1000


@kernel
def _digits(out: Bytes, at: int, number: int) -> int:
    """Write a number >= 0 in decimal digits; return where it ends."""
    power = int64(1)
    while number // power >= TEN:
        power *= TEN
    while power > 0:
        out[at] = ZERO + number // power % TEN
        at += 1
        power //= TEN
    return at


@kernel
def _decimal(out: Bytes, at: int, thousandths: int) -> int:
    """Write thousandths as the shortest decimal that has a point; return where it ends."""
    if thousandths < 0:
        out[at] = MINUS
        at += 1
        thousandths = -thousandths
    at = _digits(out, at, thousandths // THOUSAND)
    rest = thousandths % THOUSAND
    out[at], out[at + 1] = POINT, ZERO + rest // HUNDRED
    at += 2
    rest %= HUNDRED
    if rest:
        out[at] = ZERO + rest // TEN
        at += 1
        if rest % TEN:
            out[at] = ZERO + rest % TEN
            at += 1
    return at


@kernel
def _null(out: Bytes, at: int) -> int:
    for letter in NULL:
        out[at] = letter
        at += 1
    return at


@kernel
def _fill(line: Cells, segment: Cells, names: Cells, texts: Bytes, out: Bytes, at: int) -> int:
    """Fill the blank of a segment; return where it ends."""
    blank, cell = segment[BLANK], int64(line[segment[COLUMN]])
    if blank == NAME:
        name = min(segment[NAMES] + cell, segment[NAMES_END] - 1)
        size = names[name, END] - names[name, BEGIN]
        copy(out, at, texts, names[name, BEGIN], size)
        return int64(at + size)
    if (blank == POINTS and cell == NONE) or (blank == JUDGED and cell == NO_OVERRIDE):
        return _null(out, at)
    if blank == JUDGED_MOVE:
        now = int64(line[segment[COLUMN] + 1])
        cell = (int64(0) if now == NO_OVERRIDE else now) - (int64(0) if cell == NO_OVERRIDE else cell)
    return _decimal(out, at, cell)


@entry
def fill_numbers(
    lines: Cells, forms: Cells, segments: Cells, names: Cells, texts: Bytes, out: Bytes, ends: Cells
) -> None:
    """Write of each score change what is not text, behind each other.

    Args:
        lines: (n, columns) int64, of the notebook; nothing is written of other effects.
        forms: (models + 1,) int64, where the segments of each model begin.
        segments: (segments, SEGMENT_CELLS) int64.
        names: (names, 2) int64, where in ``texts`` each begins and ends.
        texts: (bytes,) uint8.
        out: (bytes,) uint8, with room for all of them.
        ends: (n,) int64, set to where each ends.
    """
    at = int64(0)
    for i in range(len(lines)):
        line = lines[i]
        if line[fx.KIND] == fx.SCORE_CHANGE:
            number, stop = forms[line[fx.MODEL]], forms[line[fx.MODEL] + 1]
            while number < stop:
                segment = segments[number]
                size = segment[END] - segment[BEGIN]
                copy(out, at, texts, segment[BEGIN], size)
                at += size
                number += 1
                if segment[BLANK] == UNLESS_JUDGED:
                    column = segment[COLUMN]
                    if line[column] == NO_OVERRIDE and line[column + 1] == NO_OVERRIDE:
                        number += JUDGED_SEGMENTS
                elif segment[BLANK] != NOTHING:
                    at = _fill(line, segment, names, texts, out, at)
        ends[i] = at


class Segment(NamedTuple):
    """A text, what stands behind it, and of a name those that it may be, by the cell's number; beyond them the last."""

    text: bytes
    blank: int
    column: int
    names: Sequence[bytes]


def _bytes_max(segment: Segment) -> int:
    return len(segment.text) + max([NUMBER_BYTES_MAX, *map(len, segment.names)])


class ChangeNumbers:
    """What is not text of the score changes of all models of a program."""

    def __init__(self, forms: Sequence[Sequence[Segment]]) -> None:
        """Lay out the segments of each model."""
        texts, first, segments = bytearray(), [0], []
        names: list[tuple[int, int]] = []
        for form in forms:
            for text, blank, column, choices in form:
                where = len(names)
                segments.append(
                    (len(texts), len(texts) + len(text), blank, column, where, where + len(choices))
                )
                texts += text
                for name in choices:
                    names.append((len(texts), len(texts) + len(name)))
                    texts += name
            first.append(len(segments))
        self._forms, self._segments = np.array(first, np.int64), np.array(segments, np.int64)
        self._names, self._texts = np.array(names, np.int64), np.frombuffer(bytes(texts), np.uint8)
        self.bytes_max = max(sum(map(_bytes_max, form)) for form in forms)
        """Of a line."""

    def fill(self, lines: Cells) -> list[bytes]:
        """Return of each line of the notebook what is not text of it, of what is no score change nothing.

        Args:
            lines: (n, columns) int64.
        """
        out, ends = np.empty(len(lines) * self.bytes_max, np.uint8), np.empty(len(lines), np.int64)
        fill_numbers(lines, self._forms, self._segments, self._names, self._texts, out, ends)
        stops = ends.tolist()
        text = out[: stops[-1]].tobytes() if stops else b""
        return [text[begin:end] for begin, end in zip([0, *stops], stops, strict=False)]
