"""The Python and the platform that wheels are for, in one line: `python platform_name.py`; needs nothing else."""

import sys
import sysconfig


def platform_name() -> str:
    """Return for example `cpython 3.12 linux-x86_64`."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"{sys.implementation.name} {version} {sysconfig.get_platform()}"


if __name__ == "__main__":
    print(platform_name())
