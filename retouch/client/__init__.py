"""A client of servers with this API; see docs/client.md. It imports nothing of the server."""

from retouch.client.answers import (
    Answer,
    ApiError,
    ContentRefusedError,
    FetchError,
    NoAnswerError,
    Result,
    TimeLimitError,
)
from retouch.client.async_client import AsyncClient
from retouch.client.calls import Limits
from retouch.client.sync_client import Client
from retouch.client.webhooks import InvalidWebhookError, read_webhook

__all__ = (
    "Answer",
    "ApiError",
    "AsyncClient",
    "Client",
    "ContentRefusedError",
    "FetchError",
    "InvalidWebhookError",
    "Limits",
    "NoAnswerError",
    "Result",
    "TimeLimitError",
    "read_webhook",
)
