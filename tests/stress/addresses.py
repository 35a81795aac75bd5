"""Addresses inside the network, in every spelling that we could find, and names and redirects that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

PUBLIC = "93.184.216.34"
INSIDE_4 = (
    "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "100.100.100.200", "192.0.0.192", "0.0.0.0",
)  # fmt: skip
INSIDE_6 = (
    "::1", "::", "fd00::1", "fc00::1", "fe80::1", "fec0::1", "ff02::1", "fd00:ec2::254", "fd20:ce::254", "2001:db8::1",
    "100::1", "4000::1",
)  # fmt: skip
PORTS = (80, 443, 22, 25, 1, 6379, 8000, 8080, 65535)
ZONE = "lab.test"
_WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
_CIRCLED = str.maketrans("0123456789", "⓪①②③④⑤⑥⑦⑧⑨")


def hosts_of(text: str) -> Iterator[str]:
    """The spellings of one IPv4 address that a resolver or a kernel somewhere understands."""
    address = IPv4Address(text)
    number, (a, b, c, d) = int(address), address.packed
    yield text
    yield f"{text}."
    yield str(number)
    yield f"0x{number:x}"
    yield f"0X{number:08X}"
    yield f"0{number:o}"
    yield f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"000{a:o}.0x{b:x}.{c}.{d}"
    yield f"{a}.0x{number & 0xFFFFFF:x}"
    yield f"{a}.{number & 0xFFFFFF}"
    yield f"{a}.{b}.{number & 0xFFFF}"
    yield text.translate(_WIDE)
    yield text.translate(_CIRCLED)
    yield text.replace(".", "。")
    yield text.replace(".", "．").translate(_WIDE)
    yield text.replace(".", "%2e")
    yield from (f"[{carrier}]" for carrier in carriers(number, text))


def carriers(number: int, text: str) -> Iterator[str]:
    """IPv6 addresses with an IPv4 address inside."""
    high, low = number >> 16, number & 0xFFFF
    yield f"::ffff:{text}"
    yield f"0:0:0:0:0:ffff:{high:x}:{low:x}"
    yield f"::{text}"
    yield f"::ffff:0:{text}"
    yield f"64:ff9b::{text}"
    yield f"64:ff9b:1::{text}"
    yield f"2002:{high:x}:{low:x}::1"
    yield f"2001:0:{high:x}:{low:x}::f7f7:f7f7"
    yield str(IPv6Address((0x20010000_5DB8D822 << 64) | (number ^ 0xFFFFFFFF)))
    yield f"2a00::5efe:{high:x}:{low:x}"


def urls() -> Iterator[str]:
    """Addresses that lead inside by themselves."""
    for inside in INSIDE_4:
        yield from (f"http://{host}/" for host in hosts_of(inside))
        yield from (f"http://{inside}:{port}/wiki" for port in PORTS)
        yield from (f"https://{inside}/", f"HTTP://{inside}/", f"http:{inside}", f"http:///{inside}/", f"//{inside}/")
        yield from disguised(inside)
    for inside in INSIDE_6:
        yield from (f"http://[{inside}]/", f"https://[{inside}]:443/", f"http://[{inside}]:8080/", f"http://{inside}/")
        yield from (f"http://[{IPv6Address(inside).exploded}]/", f"http://[{inside}%25lo]/", f"http://[{inside}%lo]/")
    for name in ("localhost", "LOCALHOST.", "localhost.localdomain", "ip6-localhost", "ｌｏｃａｌｈｏｓｔ"):
        yield from (f"http://{name}/", f"http://{name}:8080/rest")


def disguised(inside: str) -> Iterator[str]:
    """A public host that some readers see where others see the one inside."""
    yield f"http://{PUBLIC}@{inside}/"
    yield f"http://{inside}@{PUBLIC}/"
    yield f"http://user:secret@{inside}/"
    yield f"http://{PUBLIC}#@{inside}/"
    yield f"http://{PUBLIC}?@{inside}/"
    yield f"http://{PUBLIC}\\@{inside}/"
    yield f"http://{PUBLIC}%00.{inside}/"
    yield f"http://{inside}%2f@{PUBLIC}/"
    yield f"http://{inside}\t/"
    yield f"http://{PUBLIC} {inside}/"
    yield f"http://{PUBLIC}\r\nHost: {inside}/"


def names() -> dict[str, list[list[str]]]:
    """Names of the lab: what each answers the first time, the second time, and so on in turns."""
    known = {f"public.{ZONE}": [[PUBLIC]], "metadata.google.internal": [["169.254.169.254"]]}
    for number, inside in enumerate((*INSIDE_4, *INSIDE_6)):
        known[f"plain{number}.{ZONE}"] = [[inside]]
        known[f"behind{number}.{ZONE}"] = [[PUBLIC, inside]]
        known[f"before{number}.{ZONE}"] = [[inside, PUBLIC]]
        known[f"flips{number}.{ZONE}"] = [[PUBLIC], [inside]]
    return known


def named_urls() -> Iterator[str]:
    """Addresses whose names lead inside."""
    for name in names():
        if not name.startswith("public."):
            yield f"http://{name}/"
    yield from (f"https://plain{number}.{ZONE}:8443/wiki" for number in range(len(INSIDE_4)))


def redirects() -> list[str]:
    """The targets of the redirects of a public server."""
    plain = [f"http://{inside}/" for inside in INSIDE_4] + [f"http://[{inside}]/" for inside in INSIDE_6]
    odd = [f"//{INSIDE_4[0]}/", f"http://plain2.{ZONE}/", f"http://2130706433:{PORTS[-2]}/", "http://localhost/"]
    return plain + odd


def redirecting_urls() -> list[str]:
    return [f"http://public.{ZONE}/r{number}" for number in range(len(redirects()))]


def cases() -> list[str]:
    return list(dict.fromkeys([*urls(), *named_urls(), *redirecting_urls()]))
