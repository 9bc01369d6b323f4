"""File descriptors of the process: raise their limit, and how many of them connections may use."""

import resource

_MAX_DESCRIPTORS = 1 << 16
"""The limit is not raised beyond it: some programs close every descriptor up to the limit."""
_MAX_CONNECTIONS = 4096


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, up to 65,536; return the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def max_connections(descriptors: int) -> int:
    """Return how many connections may be open, at most 4096.

    They use a third of the descriptors, because each may hold a second one, the file of a result that it
    reads. The rest is for pictures that arrive (files) or are fetched
    (sockets), results, weights, the store and the database.
    """
    return max(1, min(_MAX_CONNECTIONS, descriptors // 3))
