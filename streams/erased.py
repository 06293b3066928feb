"""The memory of erased and merged accounts: what is late does not bring them back. It holds hashes, never ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from xxhash import xxh3_64_intdigest

from streams.days import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

ERASED_MAX: Final = 10_000
"""Hashes of a partition."""
FORGOTTEN_MS: Final = 90 * DAY_MS
"""One is forgotten when another is remembered until so much later."""
ERASED: Final = b"\0erased:"
"""Followed by 16 hexadecimal digits: the key of a hash in the changelog."""
_INSTANT_BYTES: Final = 8
_BY_MERGE: Final = b"m"
"""Stands behind the instant of an account that a merge ended."""
NOT_ERASED: Final = -(1 << 62)
"""The instant up to which events of an account that was not erased are left out."""


class Erased:
    """Per hash of an account id the instant (ms UTC) up to which events of that account are left out."""

    def __init__(self) -> None:
        self._until: dict[int, int] = {}
        self._merged: set[int] = set()
        self._changed: dict[bytes, bytes | None] = {}

    def until(self, account: bytes) -> int:
        """Return the instant up to which events of an account are left out, ``NOT_ERASED`` if it is not remembered."""
        return self._until.get(xxh3_64_intdigest(account), NOT_ERASED) if self._until else NOT_ERASED

    def until_each(self, accounts: Sequence[bytes]) -> list[int] | int:
        """Return the same for each of many accounts; one number if it is that of all."""
        return list(map(self.until, accounts)) if self._until else NOT_ERASED

    def is_merged(self, account: bytes) -> bool:
        """Return whether an account that is remembered was ended by a merge."""
        return bool(self._merged) and xxh3_64_intdigest(account) in self._merged

    def merged_each(self, accounts: Sequence[bytes]) -> list[bool] | int:
        """Return the same for each of many accounts; 0 if it is so of none."""
        return list(map(self.is_merged, accounts)) if self._merged else 0

    def remember(self, account: bytes, until_ms: int, *, is_merged: bool = False) -> list[int]:
        """Remember an account until an instant that is no sooner than before.

        Returns:
            the instants until which those were remembered that are forgotten for it.
        """
        self._put(xxh3_64_intdigest(account), until_ms, is_merged)
        if len(self._until) <= ERASED_MAX and min(self._until.values()) + FORGOTTEN_MS >= until_ms:
            return []
        oldest = sorted((until, each) for each, until in self._until.items())
        surplus = len(oldest) - ERASED_MAX
        gone = [
            each for n, (until, each) in enumerate(oldest) if n < surplus or until + FORGOTTEN_MS < until_ms
        ]
        self._changed |= {_key(each): None for each in gone}
        self._merged.difference_update(gone)
        return [self._until.pop(each) for each in gone]

    def _put(self, account: int, until_ms: int, is_merged: bool) -> None:  # noqa: FBT001
        value = until_ms.to_bytes(_INSTANT_BYTES, "little")
        self._note(account, until_ms, is_merged)
        self._changed[_key(account)] = value + _BY_MERGE if is_merged else value

    def _note(self, account: int, until_ms: int, is_merged: bool) -> None:  # noqa: FBT001
        self._until[account] = until_ms
        (self._merged.add if is_merged else self._merged.discard)(account)

    def take_changed(self) -> list[tuple[bytes, bytes | None]]:
        """Return the changelog records of what was remembered and forgotten since the last call."""
        records, self._changed = list(self._changed.items()), {}
        return records

    def load(self, key: bytes, value: bytes | None) -> None:
        """Take one changelog record."""
        account = int(key[len(ERASED) :], 16)
        if value is None:
            self._until.pop(account, None)
            self._merged.discard(account)
        else:
            until_ms = int.from_bytes(value[:_INSTANT_BYTES], "little")
            self._note(account, until_ms, value[_INSTANT_BYTES:] == _BY_MERGE)


def _key(account: int) -> bytes:
    return ERASED + b"%016x" % account
