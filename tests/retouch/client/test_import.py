"""The client needs no part of the server."""

import subprocess
import sys

from tests.helpers.places import ROOT

_CODE = """import sys
before = set(sys.modules)
import retouch.client
print(*sorted({name.partition(".")[0] for name in set(sys.modules) - before} - sys.stdlib_module_names))
print(*sorted(name for name in sys.modules if name.startswith("retouch.")))
"""
_OF_HTTPX = {
    "anyio",
    "brotli",
    "certifi",
    "h11",
    "idna",
    "sniffio",
    "truststore",
    "typing_extensions",
}


def test_it_imports_the_http_library_and_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _CODE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    packages, modules = (set(line.split()) for line in done.stdout.splitlines())
    assert {"retouch", "httpx2"} <= packages
    assert {name for name in packages if "httpcore" not in name} - _OF_HTTPX == {
        "retouch",
        "httpx2",
    }
    assert all(name.startswith("retouch.client") for name in modules)
