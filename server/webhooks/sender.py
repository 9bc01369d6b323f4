"""Send one webhook: a signed POST to an address that a caller named, guarded as those of pictures are."""

import asyncio
import time
from collections.abc import Sequence

import httpx2 as httpx

from server.errors import FetchFailedError, WebhookFailedError
from server.http.ip_ranges import Network
from server.http.url_guard import REDIRECTS, Resolve, UrlGuard, parse_url
from server.webhooks.signing import sign

_MAX_REDIRECTS = 5
_REPEATING = frozenset({307, 308})
"""Redirects that keep the method and the body (RFC 9110). After others a POST becomes a GET."""
_MAX_ANSWER_BYTES = 16 * 1024
_ANSWER_TIMEOUT_S = 1.0
"""An answer's body is read up to these bounds, so that receivers see no broken connection; then dropped."""


class WebhookSender:
    """Sends webhooks over http and https to any port of any public address; for one event loop."""

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        timeout_s: float = 10,
        *,
        concurrency: int = 64,
        user_agent: str = "Retouch",
        proxy: str | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        """Set the limits of each webhook.

        allowed_networks, proxy, resolve: see `UrlGuard`. timeout_s: until the status of the answer, with
        name resolution and redirects. concurrency: webhooks that are sent at the same time.
        """
        self._timeout_s = timeout_s
        self._user_agent = user_agent
        self._guard = UrlGuard(
            allowed_networks,
            timeout_s,
            "webhooks",
            max_connections=concurrency,
            max_resolutions=concurrency,
            proxy=proxy,
            resolve=resolve,
        )

    async def aclose(self) -> None:
        """Close all connections; webhooks that are being sent fail."""
        await self._guard.aclose()

    async def send(self, url: str, key: bytes, webhook_id: str, body: bytes) -> None:
        """Send a webhook; return when the receiver has answered with a 2xx status.

        key: of `signing_key`. webhook_id: the request's id. body: JSON. Raises WebhookFailedError.
        """
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Bria-Webhook-Id": webhook_id,
            "Bria-Webhook-Timestamp": str(timestamp),
            "Bria-Webhook-Signature": sign(key, webhook_id, timestamp, body),
        }
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                await self._post(parse_url(url, verb="called"), headers, body, limit)
        except TimeoutError:
            raise WebhookFailedError(f"no answer in {self._timeout_s:g} s") from None
        except FetchFailedError as error:
            raise WebhookFailedError(str(error)) from None

    async def _post(
        self, url: httpx.URL, headers: dict[str, str], body: bytes, limit: asyncio.Timeout
    ) -> None:
        for _ in range(_MAX_REDIRECTS + 1):
            target = await self._guard.target(url)
            async with self._guard.send("POST", target, headers, body) as answer:
                if answer.status_code not in _REPEATING:
                    limit.reschedule(None)  # the status has arrived in time
                    await _drop(answer)
                    return _check(answer)
                url = parse_url(answer.headers.get("Location", ""), url, "called")
        raise WebhookFailedError(f"the receiver redirects more than {_MAX_REDIRECTS} times")


async def _drop(answer: httpx.Response) -> None:
    """Read a short body of an answer to its end; the status alone decides, so faults do not matter."""
    size = 0
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT_S):
            async for chunk in answer.aiter_raw():
                size += len(chunk)
                if size > _MAX_ANSWER_BYTES:
                    return
    except (TimeoutError, httpx.TransportError):
        return


def _check(answer: httpx.Response) -> None:
    """Raise WebhookFailedError unless an answer has a 2xx status."""
    status = answer.status_code
    if status in REDIRECTS:
        raise WebhookFailedError(
            f"the receiver redirects with {status}, after which a POST is not repeated; use 307 or 308"
        )
    if not answer.is_success:
        raise WebhookFailedError(f"the receiver answered with status {status}")
