"""Which store holds what: folders of this machine, or an S3 bucket, as an address says."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from storage.filesystem import LocalObjects
from storage.object_store import ObjectStore, is_key
from storage.s3 import Bucket, S3Objects

_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?\Z")


@dataclass(frozen=True)
class Stores:
    """What the server keeps: results, which expire; the pictures of jobs; the pictures of visuals."""

    results: ObjectStore
    sources: ObjectStore
    visuals: ObjectStore


def open_stores(address: Path | Bucket) -> Stores:
    """Open the three stores below a folder or in a bucket.

    Raises OSError, which is StoreUnavailableError where the bucket is unavailable.
    """
    if isinstance(address, Path):
        names = ("results", "sources", "visuals")
        return Stores(*(LocalObjects(address / name) for name in names))
    # The bucket's rule may expire results alone: a job's pictures and visuals have lives of their own.
    kept = replace(address, lifecycle=False)
    results = S3Objects(address, "results")
    results.check()
    return Stores(results, S3Objects(kept, "sources"), S3Objects(kept, "visuals"))


def parse_s3(address: str) -> tuple[str, str]:
    """Take `s3://bucket/prefix` apart into bucket and prefix; raises ValueError."""
    found = _S3.match(address)
    prefix = (found[2] or "").rstrip("/") if found else ""
    if found is None or len(prefix) > 200 or not (prefix == "" or is_key(prefix)):
        raise ValueError("an S3 store is s3://bucket or s3://bucket/prefix")
    return found[1], prefix
