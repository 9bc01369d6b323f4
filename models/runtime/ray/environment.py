"""What Ray is told by the environment before it is imported."""

import os


def prepare() -> None:
    """Have Ray send no telemetry and make no cluster of its own; what the operator has set stands."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray Serve's own threads would start a cluster here when ours has gone.
    os.environ.setdefault("RAY_ENABLE_AUTO_CONNECT", "0")
