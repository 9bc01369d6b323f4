"""Environment variables for Ray, which must be set before Ray is imported."""

import os
import secrets


def prepare() -> None:
    """Disable Ray's telemetry and its automatic local cluster.

    Variables that are already set stay.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without this, Ray Serve's threads would start a local cluster when the real one is gone.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")


def prepare_own() -> None:
    """Prepare for a Ray that this process starts for itself: only who has its token can call it.

    The token is a new one, whatever is set for another cluster.
    """
    prepare()
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    # Ray runs workers at nice 15, as on a machine where other programs come first.
    os.environ.setdefault("RAY_worker_niceness", "0")
