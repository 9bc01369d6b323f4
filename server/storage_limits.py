"""What may be stored: a quota for each organisation, and a reserve of free space on the disk."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from server.errors import QuotaExceededError
from storage.disk_reserve import DiskReserve
from storage.errors import DatabaseUnavailableError
from storage.stored_bytes import StoredByOrganisation, StoredBytes, Usage, charged, expiry

log = logging.getLogger("retouch")

_RETRY_AFTER_S = 3600
"""Retry-After of a quota that is used up by what never expires: only the caller can change that."""
_MIB = 1 << 20


class Requirement(Protocol):
    """Whether callers are known by tokens, as `server.http.auth.Tokens` says."""

    @property
    def required(self) -> bool:
        """Whether only known tokens are valid; without them every caller is the owner of the machine."""
        ...


@dataclass(frozen=True)
class Quota:
    """The most that one organisation may store; 0 turns a limit off.

    max_bytes: of everything. max_visuals: registered pictures.
    """

    max_bytes: int
    max_visuals: int


@dataclass(frozen=True)
class StorageState:
    """The state of the disks and of one organisation, in bytes.

    free, reserve: of the disk that is closest to its reserve; None if nothing is stored on a disk.
    is_short: whether nothing new is stored. used, visuals: by the organisation; None if not counted.
    """

    free: int | None
    reserve: int | None
    is_short: bool
    used: int | None = None
    visuals: int | None = None


class StorageLimits:
    """Refuses requests that would store more than may be stored, before any work. Threads may share it.

    Accepted work is never refused: requests in work at the same time may exceed a quota together by what
    they store. Quotas hold only if tokens are required. lifetime: of results. reserves: of the disks
    that the server writes on.
    """

    def __init__(
        self,
        tokens: Requirement,
        stored: StoredBytes,
        quota: Quota,
        reserves: Sequence[DiskReserve],
        lifetime: timedelta,
    ) -> None:
        self._tokens = tokens
        self._stored = stored
        self._reserves = reserves
        self.quota = quota
        self._lifetime = lifetime

    @property
    def counts(self) -> bool:
        """Whether the bytes of organisations are counted."""
        return self._tokens.required

    @property
    def is_short(self) -> bool:
        """Whether nothing new was stored when a disk was last looked at."""
        return any(reserve.is_short for reserve in self._reserves)

    @property
    def has_room_for_jobs(self) -> bool:
        """Whether the database can take up the jobs of a process that has ended."""
        spaces = [reserve.space() for reserve in self._reserves]
        return all(space.free >= space.reserve // 2 for space in spaces)

    def check_disk(self) -> None:
        """Raise DiskFullError if nothing new may be stored."""
        for reserve in self._reserves:
            reserve.check()

    def admit(self, organisation: str) -> None:
        """Check that an organisation's request may store results; raises DiskFullError, QuotaExceededError.

        While the database does not answer, only the disk is checked: much work needs no database.
        """
        self.check_disk()
        if not (self.counts and self.quota.max_bytes):
            return
        try:
            usage = self._stored.usage(organisation)
        except DatabaseUnavailableError as error:
            log.info("a request is admitted although the quota is not known: %s", error)
            return
        self._check_bytes(usage, 0)

    def admit_visual(self, organisation: str, size: int) -> None:
        """Check that an organisation may register a picture of a size in bytes.

        Raises as `admit` does, and DatabaseUnavailableError.
        """
        self.check_disk()
        if not self.counts:
            return
        usage = self._stored.usage(organisation)
        if 0 < self.quota.max_visuals <= usage.visuals:
            raise QuotaExceededError(
                f"This organisation has {usage.visuals} registered pictures, and may have"
                f" {self.quota.max_visuals}; remove some with remove_image.",
                _RETRY_AFTER_S,
            )
        self._check_bytes(usage, charged(size))

    def _check_bytes(self, usage: Usage, added: int) -> None:
        limit = self.quota.max_bytes
        if not limit or (usage.total < limit and usage.total + added <= limit):
            return
        free_at = usage.falls_below(limit - added)
        more = f", {added / _MIB:.1f} MiB more with this picture" if added else ""
        text = (
            f"This organisation stores {usage.total / _MIB:.1f} MiB{more}, and may store"
            f" {limit / _MIB:.1f} MiB"
        )
        if free_at is None:
            raise QuotaExceededError(
                f"{text}; remove registered pictures with remove_image.", _RETRY_AFTER_S
            )
        seconds = max(1, math.ceil((free_at - datetime.now(UTC)).total_seconds()))
        raise QuotaExceededError(
            f"{text}; results expire in {seconds} s, or remove registered pictures with remove_image.",
            seconds,
        )

    def count(
        self, organisation: str, sizes: Iterable[int], lifetime: timedelta | None = None
    ) -> datetime:
        """Count stored objects until they expire; return when. lifetime: by default that of results."""
        expires = expiry(lifetime or self._lifetime)
        if self.counts:
            self._stored.add(organisation, sum(map(charged, sizes)), expires)
        return expires

    def uncount(self, organisation: str, sizes: Iterable[int], expires: datetime) -> None:
        """Count objects no longer that were removed before they expired. expires: of `count`."""
        if self.counts and expires > datetime.now(UTC):
            self._stored.add(organisation, -sum(map(charged, sizes)), expires)

    @contextmanager
    def room(self) -> Iterator[None]:
        """Find room for the writes of a removal within the context, if the disk is full."""
        with ExitStack() as stack:
            for reserve in self._reserves:
                stack.enter_context(reserve.room())
            yield

    def try_to_make_room(self) -> bool:
        """Return whether the end of a job can be written at the moment."""
        return all([reserve.try_to_make_room() for reserve in self._reserves])

    def watch(self) -> None:
        """Do what is due: call it once a second or so. Raises OSError if a disk is unavailable."""
        self._stored.flush(after_s=5)
        for reserve in self._reserves:
            try:
                reserve.watch()
            except OSError as error:
                log.error("the reserve of the disk: %s", error)

    def sweep(self) -> None:
        """Remove the counts of what has expired; raises DatabaseUnavailableError."""
        self._stored.sweep()

    def close(self) -> None:
        """Write the counts that are still in memory."""
        self._stored.flush()

    def by_organisation(self, limit: int) -> StoredByOrganisation:
        """Return what organisations store, at most `limit` of them; raises DatabaseUnavailableError."""
        return self._stored.by_organisation(limit)

    def state(self, organisation: str | None = None) -> StorageState:
        """Return the state of the disks, and of an organisation; raises OSError."""
        spaces = [reserve.space() for reserve in self._reserves]
        worst = min(spaces, key=lambda space: space.free - space.reserve, default=None)
        usage = self._stored.usage(organisation) if organisation and self.counts else None
        return StorageState(
            worst.free if worst else None,
            worst.reserve if worst else None,
            any(space.is_short for space in spaces),
            usage.total if usage else None,
            usage.visuals if usage else None,
        )
