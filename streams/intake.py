"""What decoding needs to know of a policy: bits of sources by event kind, page kinds by path pattern, kinds of tags."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from schemas.catalogue import ACTIVITY_BIT, KEY_FEATURE_BIT, KEY_FEATURE_PAGE, SOURCES, EventKind

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
        kinds = [(patterns, _page_bits(kind)) for kind, patterns in policy.pages.items()]
        features = zip(policy.key_features.values(), key_feature_masks(policy).values(), strict=True)
        self._patterns = [
            (re.compile("|".join(map(_translated, patterns)), re.DOTALL), bits)
            for patterns, bits in [*kinds, *features]
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


def key_feature_masks(policy: Policy) -> dict[str | None, int]:
    """Return the bits of a visit that uses a key feature, by the feature's name."""
    of_kind = _page_bits(KEY_FEATURE_PAGE)
    return {name: of_kind | 1 << (KEY_FEATURE_BIT + i) for i, name in enumerate(policy.key_features)}


def tag_masks(policy: Policy) -> dict[str, int]:
    """Return the bits of the sources that count a ticket opened with a tag, by tag."""
    masks: dict[str, int] = {}
    for kind, tags in policy.ticket_tags.items():
        for tag in tags:
            masks[tag] = masks.get(tag, 0) | sum(1 << source.bit for source in SOURCES if kind in source.tags)
    return masks


def _page_bits(kind: str) -> int:
    return sum(1 << source.bit for source in SOURCES if kind in source.pages)


def _translated(pattern: str) -> str:
    """Return a path pattern as a regular expression: ``*`` is any characters, all others are themselves.

    What stands between two ``*`` is looked for once, at its first place (atomic groups): if the rest does not match behind
    that, it does not behind a later one. Trying them all takes longer than anyone waits.
    """
    first, *parts = map(re.escape, pattern.split("*"))
    if not parts:
        return first
    return first + "".join(f"(?>.*?{part})" for part in parts[:-1]) + ".*" + parts[-1]


def path_of(address: str) -> str:
    """Return the path of a page's address: without scheme and host, query and fragment; nothing is decoded."""
    whole = _QUERY.sub("", address[:ADDRESS_CHARACTERS_MAX], count=1)
    origin = _ORIGIN.match(whole)
    return (whole[origin.end() :] if origin else whole) or "/"
