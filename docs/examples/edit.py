"""Removes the background of a picture: python3 edit.py picture.jpg cutout.png."""

import os
import sys
from pathlib import Path

from retouch.client import ApiError, Client, FetchError, Limits

source, target = sys.argv[1:]
address = os.environ.get("API_URL", "http://127.0.0.1:8000")
token = os.environ.get("API_TOKEN", "me")

# 429 and 503 are repeated when Retry-After says, five minutes in all, with one Idempotency-Key.
with Client(address, token, Limits(retry_s=300)) as client:
    try:
        image = source if source.startswith("http") else Path(source)
        accepted = client.call("v2/image/edit/remove_background", image=image)
        finished = client.wait(accepted, seconds=600)
        Path(target).write_bytes(client.download(finished.links[0]))
    except FetchError as error:
        sys.exit(f"The server cannot fetch {source}: {error}")
    except ApiError as error:
        sys.exit(f"It failed: {error}")
