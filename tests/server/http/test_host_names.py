"""Hosts that a proxy may be asked for, by their spelling."""

from ipaddress import ip_network

import pytest

from server.http.host_names import may_be_public


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "PICTURES.example.com.",
        "xn--bcher-kva.example",
        "localhost.example.com",
        "local.example",
        "my-internal.example",
        "93.184.216.34",
        "2606:4700::1111",
        "1572395042",
        "0x5d.184.216.34",
    ],
)
def test_public_hosts(host: str) -> None:
    assert may_be_public(host, [])


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "retouch",
        "metadata.google.internal",
        "printer.local.",
        "db.default.svc",
        "db.default.svc.cluster.local",
        "router.lan",
        "nas.home.arpa",
        "",
        ".",
        "a..b",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "0x7f.1",
        "0X7F.1",
        "0177.0.0.1",
        "2130706433",
        "0x7f000001",
        "0",
        "10.0.0.1",
        "169.254.169.254",
        "::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "fe80::1%25eth0",
        "fd00::1",
        "1.2.3.4.5",
        "256.256.256.256",
        "example.0x1",
        "4294967296",
        "127.0.0.1%3a80",
        "%31%32%37.0.0.1",
        "a%2eb.example",
        "localhost.localdomain",
        "exa mple.com",
        "example.com\\x",
    ],
)
def test_hosts_that_are_not_public(host: str) -> None:
    assert not may_be_public(host, [])


def test_allowed_networks_hold_for_addresses() -> None:
    assert may_be_public("10.1.2.3", [ip_network("10.0.0.0/8")])
    assert may_be_public("0xa.1", [ip_network("10.0.0.0/8")])
    assert not may_be_public("192.168.0.1", [ip_network("10.0.0.0/8")])
    assert not may_be_public("retouch", [ip_network("0.0.0.0/0")])
