"""The address of objects in an S3 bucket, and the clients for it with their time limits and retries."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from obstore.store import S3Store

SILENCE_LIMIT_S = 5
"""A request fails when the store sends nothing for so long."""
_REQUEST_LIMIT_S = 60
"""A request fails after so long, although the store sends something now and then."""
_CLIENT_OPTIONS: dict[str, Any] = {
    "connect_timeout": "3s",
    "read_timeout": f"{SILENCE_LIMIT_S}s",
    "timeout": f"{_REQUEST_LIMIT_S}s",
}
_RETRY: Any = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=3),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=1),
        "base": 2,
    },
}
"""Requests that a store refuses are repeated for 3 s at most, and those that it does not answer never."""


@dataclass(frozen=True)
class Bucket:
    """The address of objects in S3.

    prefix: added before every key; without slashes at both ends, may be empty. endpoint: the address
    of a store other than AWS. public_endpoint: the address of the same store in presigned links; by
    default `endpoint`. region: as the store names it. path_style: the bucket's name is in the path,
    not in the host. lifecycle: the bucket has a rule that removes old results, so `sweep` does
    nothing. Credentials come from the same sources as those of AWS's tools, the variables
    AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY first.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    public_endpoint: str | None = None
    region: str = "us-east-1"
    path_style: bool = True
    lifecycle: bool = False

    def store(
        self,
        folder: str,
        *,
        public: bool = False,
        limits: Mapping[str, Any] = MappingProxyType(_CLIENT_OPTIONS),
        retry: Any = _RETRY,
    ) -> S3Store:
        """Return a client for a folder below the prefix.

        public: for links, at the public endpoint. limits, retry: time limits and retries of obstore.
        """
        endpoint = (self.public_endpoint if public else None) or self.endpoint
        endpoint_option: dict[str, Any] = (
            {} if endpoint is None else {"endpoint": self._full_endpoint(endpoint)}
        )
        options: Any = {
            **limits,
            "allow_http": bool(endpoint and _is_plain_http(endpoint)),
        }
        return S3Store(
            self.name,
            prefix=f"{self.prefix}/{folder}" if self.prefix else folder,
            region=self.region,
            virtual_hosted_style_request=not self.path_style,
            client_options=options,
            retry_config=retry,
            **endpoint_option,
        )

    @property
    def public_origin(self) -> str:
        """Scheme, host and port of the links of objects."""
        endpoint = self.public_endpoint or self.endpoint
        if endpoint is None:
            host = f"s3.{self.region}.amazonaws.com"
            return f"https://{host if self.path_style else f'{self.name}.{host}'}"
        scheme, host = urlsplit(self._full_endpoint(endpoint))[:2]
        return f"{scheme}://{host.rpartition('@')[2]}"

    def _full_endpoint(self, endpoint: str) -> str:
        """Return the endpoint, with the bucket in its host if not path_style: obstore does not add it."""
        scheme, host = urlsplit(endpoint)[:2]
        return endpoint if self.path_style else f"{scheme}://{self.name}.{host}"


def _is_plain_http(endpoint: str) -> bool:
    return endpoint.lower().startswith("http://")
