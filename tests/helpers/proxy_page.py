"""nginx's configuration in the documentation."""

import re

from tests.helpers.places import ROOT


def documented() -> str:
    """Return nginx's configuration in the documentation."""
    page = (ROOT / "docs" / "proxy.md").read_text()
    block = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)
    assert block is not None
    tls = re.compile(r"^ *(listen|ssl_\w+) .*\n", re.MULTILINE)
    return tls.sub("", block[1]).replace("server {\n", "server {\n    listen PORT;\n")
