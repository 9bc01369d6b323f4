"""Verify presigned S3 links, so that the server recognizes its own and need not ask the store."""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import SplitResult, parse_qsl, quote

from storage.links import LinkState

_ALGORITHM = "AWS4-HMAC-SHA256"
_MAX_PARAMETERS = 16
_SIGNATURE = "X-Amz-Signature"
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_MAX_EXPIRES_DIGITS = 6
"""Digits of the longest lifetime of a presigned link, 7 days in seconds."""
_SCOPE = re.compile(r"([^/]+)/(\d{8})/([A-Za-z0-9-]+)/s3/aws4_request\Z", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class AccessKey:
    """An access key of S3 and its secret."""

    name: str
    secret: str


def access_key_from_environment() -> AccessKey | None:
    """Return the access key in the variables of AWS's tools, or None.

    None also if the credentials come from a role of the machine: their secret is not known here.
    """
    name, secret = (os.environ.get(f"AWS_{end}") for end in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"))
    return AccessKey(name, secret) if name and secret else None


def verify_presigned(link: SplitResult, key: AccessKey, now: float) -> LinkState:
    """Return whether a presigned link to GET an object is valid, expired or forged; never raises.

    link: as it was sent. now: seconds since 1970. Only a link with a valid signature of `key` can be
    EXPIRED. The signature covers the host, the path and every parameter of the query (AWS Signature
    Version 4, "Authenticating Requests: Using Query Parameters").
    """
    try:
        pairs = parse_qsl(
            link.query, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS, errors="strict"
        )
        host = _host(link)
    except ValueError:  # too many parameters, not UTF-8, or not a port
        return LinkState.FORGED
    query = dict(pairs)
    scope = _SCOPE.match(query.get("X-Amz-Credential", ""))
    expires_at = _expires_at(query)
    if (
        len(query) != len(pairs)
        or scope is None
        or expires_at is None
        or query.get("X-Amz-Algorithm") != _ALGORITHM
        or query.get("X-Amz-SignedHeaders") != "host"
        or not hmac.compare_digest(scope[1].encode(), key.name.encode())
    ):
        return LinkState.FORGED
    expected = _signature(link.path, host, query, key.secret, scope)
    if not hmac.compare_digest(expected.encode(), query.get(_SIGNATURE, "").encode()):
        return LinkState.FORGED
    return LinkState.OK if now < expires_at else LinkState.EXPIRED


def _host(link: SplitResult) -> str:
    """Return the Host header of a request for `link`; raises ValueError if its port is not a number."""
    port = link.port
    host = link.netloc.lower()
    is_default = port is not None and port == _DEFAULT_PORTS.get(link.scheme)
    return host.removesuffix(f":{port}") if is_default else host


def _expires_at(query: Mapping[str, str]) -> float | None:
    """Return when a link expires, in seconds since 1970; None if its query does not say it."""
    lifetime = query.get("X-Amz-Expires", "")
    if not (lifetime.isascii() and lifetime.isdigit() and len(lifetime) <= _MAX_EXPIRES_DIGITS):
        return None
    try:
        signed_at = datetime.strptime(query.get("X-Amz-Date", ""), _DATE_FORMAT)
    except ValueError:
        return None
    return signed_at.replace(tzinfo=UTC).timestamp() + int(lifetime)


def _signature(
    path: str, host: str, query: Mapping[str, str], secret: str, scope: re.Match[str]
) -> str:
    """Return the signature of a presigned GET request, in hexadecimal digits."""
    signed = sorted(
        (quote(name, safe="~"), quote(value, safe="~"))
        for name, value in query.items()
        if name != _SIGNATURE
    )
    canonical_query = "&".join(f"{name}={value}" for name, value in signed)
    request = f"GET\n{path}\n{canonical_query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    _, day, region = scope.groups()
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"{_ALGORITHM}\n{query['X-Amz-Date']}\n{day}/{region}/s3/aws4_request\n{digest}"
    signing_key = f"AWS4{secret}".encode()
    for part in (day, region, "s3", "aws4_request"):
        signing_key = hmac.digest(signing_key, part.encode(), "sha256")
    return hmac.digest(signing_key, text.encode(), "sha256").hex()
