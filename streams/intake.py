"""What decoding needs to know of a policy: bits of sources by event kind, and page kinds by path pattern."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.catalogue import ACTIVITY_BIT, SOURCES, EventKind

if TYPE_CHECKING:
    from schemas.policy import Policy

PATHS_MAX: Final = 100_000
ADDRESS_CHARACTERS_MAX: Final = 2_000
_QUERY: Final = re.compile(r"[?#].*", re.DOTALL)
_ORIGIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


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
            (re.compile("|".join(map(_translated, patterns)), re.DOTALL), _page_bits(kind))
            for kind, patterns in policy.pages.items()
            if patterns
        ]

    def __missing__(self, address: str | None) -> int:
        """Match an address that is not remembered."""
        mask = self._visit
        if address is not None:
            path = path_of(address)
            for pattern, bits in self._patterns:
                if pattern.fullmatch(path):
                    mask |= bits
        if len(self) >= PATHS_MAX:
            self.clear()
        self[address] = mask
        return mask


def _page_bits(kind: str) -> int:
    return sum(1 << source.bit for source in SOURCES if kind in source.pages)


def _translated(pattern: str) -> str:
    """Return a path pattern as a regular expression: ``*`` is any characters, all others are themselves."""
    return ".*".join(map(re.escape, pattern.split("*")))


def path_of(address: str) -> str:
    """Return the path of a page's address: without scheme and host, query and fragment; nothing is decoded."""
    whole = _QUERY.sub("", address[:ADDRESS_CHARACTERS_MAX], count=1)
    origin = _ORIGIN.match(whole)
    return (whole[origin.end() :] if origin else whole) or "/"
