"""Environment variables for Ray, which must be set before Ray is imported."""

import os


def prepare() -> None:
    """Disable Ray's telemetry and its automatic local cluster.

    Variables that are already set stay.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Without this, Ray Serve's threads would start a local cluster when the real one is gone.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
