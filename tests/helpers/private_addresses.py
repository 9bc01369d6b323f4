"""URLs that lead to an address which is not public, in every spelling that some program understands."""

import itertools
from collections.abc import Iterator
from ipaddress import IPv4Address

NOT_PUBLIC = (
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",
    "0.9.8.7",
    "10.20.30.40",
    "100.100.100.200",
    "100.127.255.254",
    "169.254.169.254",
    "169.254.170.2",
    "168.63.129.16",
    "172.20.1.1",
    "192.0.0.8",
    "192.0.0.192",
    "192.168.49.2",
    "198.19.255.1",
    "224.0.0.251",
    "239.1.2.3",
    "240.1.2.3",
    "255.255.255.255",
)
"""IPv4 addresses of every network that is not public and in which something may answer."""
NAMES = (
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "a.localhost",
    "ip6-localhost",
    "ip6-loopback",
    "localhost.localdomain",
    "broadcasthost",
    "kubernetes.default.svc",
    "metadata",
    "metadata.google.internal",
    "instance-data",
    "host.docker.internal",
    "gateway.docker.internal",
    "\u2113ocalhost",
    "loc\u00adalhost",
    "\uff4cocalhost",
    "localhost\u3002",
)
_IPV6 = (
    "::",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::1%25lo",
    "::1%lo",
    "fe80::1",
    "fe80::1%25eth0",
    "fe80::1%251",
    "fe80::a9fe:a9fe%25eth0",
    "fec0::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fc00::1",
    "ff02::1",
    "ff01::1",
    "100::1",
    "2001:db8::1",
    "2001::1",
    "3fff::1",
    "5f00::1",
)
_DOTS = "\u3002\uff0e\uff61"
_DIGITS = {
    "full width": "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
    "circled": "\u24ea\u2460\u2461\u2462\u2463\u2464\u2465\u2466\u2467\u2468",
    "bold": "".join(chr(0x1D7CE + digit) for digit in range(10)),
    "Arabic": "".join(chr(0x660 + digit) for digit in range(10)),
    "superscript": "\u2070\xb9\xb2\xb3\u2074\u2075\u2076\u2077\u2078\u2079",
}


def hosts(address: str) -> Iterator[str]:
    """Yield spellings of an IPv4 address as a URL may have them."""
    number = int(IPv4Address(address))
    parts = list(number.to_bytes(4))
    yield address
    yield f"{address}."
    yield f"{address}.."
    for count in (1, 2, 3, 4):
        # The last of fewer than four parts stands for the bytes that are left (inet_aton).
        last = number & (1 << 8 * (5 - count)) - 1
        numbers = [*parts[: count - 1], last]
        for bases in itertools.product(("{}", "{:#x}", "0{:o}", "0x{:08X}", "000{:o}"), repeat=2):
            yield ".".join(
                [bases[0].format(one) for one in numbers[:-1]] + [bases[1].format(numbers[-1])]
            )
    yield str(number + 2**32)
    yield ".".join(str(part + 256) for part in parts)
    yield ".".join(f"{part:03}" for part in parts)
    for dot in _DOTS:
        yield address.replace(".", dot)
    for digits in _DIGITS.values():
        yield address.translate({ord(str(digit)): digits[digit] for digit in range(10)})
    yield "".join(f"%{ord(letter):02x}" for letter in address)
    yield address.replace(".", "%2e")
    yield address.replace(".", "%252e")
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    for start in (
        "::ffff:",
        "::",
        "::ffff:0:",
        "64:ff9b::",
        "64:ff9b:1::",
        "::5efe:",
        "fe80::5efe:",
    ):
        yield f"[{start}{high}:{low}]"
        yield f"[{start}{address}]"
    yield f"[0:0:0:0:0:ffff:{high}:{low}]"
    yield f"[64:ff9b:1:{high}:0:{low}::]"
    yield f"[2002:{high}:{low}::1]"
    yield f"[2001:0:{high}:{low}::1]"
    inverted = number ^ 0xFFFFFFFF
    yield f"[2001:0:808:808:0:0:{inverted >> 16:x}:{inverted & 0xFFFF:x}]"


def all_hosts() -> Iterator[str]:
    """Yield every spelling of every address, and the names; without repetitions."""
    spelled = itertools.chain(
        NAMES, (f"[{one}]" for one in _IPV6), *(hosts(one) for one in NOT_PUBLIC)
    )
    yield from dict.fromkeys(spelled)


def urls(host: str, port: int) -> Iterator[str]:
    """Yield URLs in which a host may be read differently by two programs; `public.example` is the other."""
    place = f"{host}:{port}"
    yield f"http://{place}/x.png"
    yield f"HTTP://{place}/x.png"
    yield f"http:{place}/x.png"
    yield f"http:/{place}/x.png"
    yield f"http:///{place}/x.png"
    yield f"http:\\\\{place}\\x.png"
    yield f"//{place}/x.png"
    yield f"http://public.example@{place}/x.png"
    yield f"http://public.example:80@{place}/x.png"
    yield f"http://public.example%40{place}/x.png"
    yield f"http://{place}#@public.example/x.png"
    yield f"http://{place}?@public.example/x.png"
    yield f"http://{place}\\@public.example/x.png"
    yield f"http://public.example\\@{place}/x.png"
    yield f"http://{place}/@public.example/x.png"
    yield f"http://{place}\t/x.png"
    yield f"http://\t{place}/x.png"
    yield f"http://{host}\n:{port}/x.png"
    yield f"http://{place}%00.public.example/x.png"
    yield f"http://{place}%0d%0aHost:%20public.example/x.png"
    yield f" http://{place}/x.png "
    yield f"http://{place};public.example/x.png"
    yield f"http://[{host}]:{port}/x.png"
    for scheme in ("ftp", "gopher", "file", "dict", "jar:http", "url:http", "ws", "unix", "httpx"):
        yield f"{scheme}://{place}/x.png"
