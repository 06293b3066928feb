"""What decoding needs to know of a policy: bits of sources by event kind, and page kinds by path pattern."""

from __future__ import annotations

import re
from fnmatch import translate
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from schemas.catalogue import ACTIVITY_BIT, SOURCES, EventKind

if TYPE_CHECKING:
    from schemas.policy import Policy

PATHS_MAX: Final = 100_000
PATH_CHARACTERS_MAX: Final = 2_000


def kind_masks(policy: Policy) -> list[int]:
    """Return, for each event kind's code, the bits of the sources that count it."""
    masks = [0] * len(EventKind)
    for source in SOURCES:
        for kind in source.kinds:
            masks[kind] |= 1 << source.bit
    for kind in EventKind:
        if kind.label in policy.activity:
            masks[kind] |= 1 << ACTIVITY_BIT
    return masks


class PageMasks(dict[str | None, int]):
    """Bits of the sources that count a visit of a path, by path or URL; remembers at most ``PATHS_MAX`` of them."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self._visit = kind_masks(policy)[EventKind.PAGE_VISIT]
        self._patterns = [
            (re.compile("|".join(translate(pattern) for pattern in patterns)), _page_bits(kind))
            for kind, patterns in policy.pages.items()
            if patterns
        ]

    def __missing__(self, address: str | None) -> int:
        """Match an address that is not remembered."""
        path = _path(address or "")
        mask = self._visit
        for pattern, bits in self._patterns:
            if pattern.match(path):
                mask |= bits
        if len(self) >= PATHS_MAX:
            self.clear()
        self[address] = mask
        return mask


def _page_bits(kind: str) -> int:
    return sum(1 << source.bit for source in SOURCES if kind in source.pages)


def _path(address: str) -> str:
    address = address[:PATH_CHARACTERS_MAX]
    if address.startswith("/"):
        return address.split("?", 1)[0].split("#", 1)[0]
    try:
        return urlsplit(address).path
    except ValueError:
        return address
