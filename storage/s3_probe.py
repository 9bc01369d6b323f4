"""The probe of a store in an S3 bucket."""

import obstore
from obstore.exceptions import BaseError, GenericError

from storage.breaker import PROBE_LIMIT_S
from storage.bucket import Bucket
from storage.errors import StoreSilentError


class S3Probe:
    """Asks the store of a bucket for an answer; any answer is enough, also that access is denied."""

    def __init__(self, bucket: Bucket) -> None:
        limits = {"connect_timeout": "3s", "timeout": f"{PROBE_LIMIT_S:.0f}s"}
        self._store = bucket.store("results", limits=limits, retry={"max_retries": 0})

    def __call__(self) -> None:
        """Return if the store answers; raises StoreSilentError if it does not."""
        try:
            obstore.head(self._store, "probe")
        except GenericError as error:
            reason = str(error).partition("\n")[0]
            raise StoreSilentError(f"the store does not answer: {reason}") from error
        except (BaseError, OSError):  # no such object, or no permission: the store answers
            return
