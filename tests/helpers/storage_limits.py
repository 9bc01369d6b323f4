"""What may be stored, for parts of the server that a test makes itself: everything."""

from datetime import timedelta

from sqlalchemy import Engine

from server.http.auth import Tokens
from server.storage_limits import Quota, StorageLimits
from storage.stored_bytes import StoredBytes


def unlimited(engine: Engine) -> StorageLimits:
    """Return limits that refuse nothing and count nothing."""
    return StorageLimits(Tokens(()), StoredBytes(engine), Quota(0, 0), (), timedelta(days=1))
