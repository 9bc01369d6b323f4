"""The configurations of proxies in the documentation."""

import re

from tests.helpers.places import ROOT


def documented_nginx() -> str:
    """Return nginx's lines, without TLS, listening on PORT."""
    tls = re.compile(r"^ *(listen|ssl_\w+) .*\n", re.MULTILINE)
    return tls.sub("", _block("nginx")).replace("server {\n", "server {\n    listen PORT;\n")


def documented_apache() -> str:
    """Return Apache's lines, which say nothing about where it listens."""
    return _block("apache")


def _block(language: str) -> str:
    page = (ROOT / "docs" / "proxy.md").read_text()
    block = re.search(rf"```{language}\n(.*?)```", page, re.DOTALL)
    assert block is not None
    return block[1]
