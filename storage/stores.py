"""Open the three object stores of a server, in a folder of this machine or in an S3 bucket."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from storage.breaker import Breaker
from storage.bucket import Bucket
from storage.disk_reserve import DiskReserve
from storage.errors import StoreSilentError
from storage.filesystem import LocalObjects
from storage.guarded_store import GuardedObjects
from storage.object_store import ObjectStore, is_key
from storage.s3 import S3Objects
from storage.s3_probe import S3Probe

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?\Z")


@dataclass(frozen=True)
class Stores:
    """The object stores of a server.

    results: results of operations, which expire. sources: the input pictures of jobs. visuals: the
    registered pictures. breaker: refuses calls of the three while the store does not answer; it is not
    started yet.
    """

    results: ObjectStore
    sources: ObjectStore
    visuals: ObjectStore
    breaker: Breaker


def open_stores(address: Path | Bucket, reserve: DiskReserve | None = None) -> Stores:
    """Return the three stores in a folder or in a bucket.

    reserve: of the folder's disk.
    Raises OSError if the folder cannot be created, StoreUnavailableError if the bucket is unavailable.
    """
    if isinstance(address, Path):
        names = ("results", "sources", "visuals")
        stores: list[ObjectStore] = [LocalObjects(address / name, reserve) for name in names]
        # A call that hangs, as on a network file system, cannot be stopped; later ones are refused.
        return _guarded(stores, Breaker("store", partial(os.statvfs, address), StoreSilentError))
    # The bucket's lifecycle rule must cover results only: the server itself removes the other two.
    without_lifecycle = replace(address, lifecycle=False)
    results = S3Objects(address, "results")
    results.check()
    stores = [
        results,
        S3Objects(without_lifecycle, "sources"),
        S3Objects(without_lifecycle, "visuals"),
    ]
    return _guarded(stores, Breaker("store", S3Probe(address), StoreSilentError))


def _guarded(stores: Sequence[ObjectStore], breaker: Breaker) -> Stores:
    results, sources, visuals = (GuardedObjects(store, breaker) for store in stores)
    return Stores(results, sources, visuals, breaker)


def parse_s3(address: str) -> tuple[str, str]:
    """Return the bucket and the prefix of `s3://bucket/prefix`; raises ValueError."""
    match = _S3.match(address)
    prefix = (match[2] or "").rstrip("/") if match else ""
    if match is None or len(prefix) > 200 or not (prefix == "" or is_key(prefix)):
        raise ValueError("an S3 store must be s3://bucket or s3://bucket/prefix")
    return match[1], prefix
