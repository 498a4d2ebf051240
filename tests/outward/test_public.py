"""No spelling of an address of one's own is taken for a public one."""

from ipaddress import ip_address

import pytest

from qrelay.outward.public import NotPublicError, is_public, public_addresses

pytestmark = pytest.mark.anyio

OWN = """
    0.0.0.0 0.0.0.1 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1
    127.0.0.53 127.1.2.3 127.255.255.255 168.63.129.16 169.254.0.1 169.254.169.254 169.254.170.2 169.254.255.255
    172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.168.0.1 192.168.255.255 198.18.0.1 198.19.255.255
    198.51.100.1 203.0.113.1 224.0.0.1 224.0.1.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255 :: ::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:0.0.0.0 ::ffff:192.168.1.1 ::127.0.0.1
    64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b::c0a8:1 64:ff9b:1::1 64:ff9b:1::7f00:1 2002:7f00:1::
    2002:a00:1:: 2002:a9fe:a9fe:: 2002:808:808:: 2001::1 2001:0:7f00:1:: 2001:db8::1 2001:10::1 100::1 fc00::1
    fd00::1 fd00:ec2::254 fdff:ffff::1 fe80::1 febf::1 fec0::1 ff00::1 ff02::1 ff05::1:3 ff0e::1
"""
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8", "100.63.255.255"]
SPELLED = """
    127.0.0.1 127.1 127.0.1 0 0x7f.1 0x7f000001 0x7f.0.0.1 0177.0.0.1 0177.1 2130706433 017700000001 localhost
    LOCALHOST ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 0:0:0:0:0:0:0:1 10.1 0xa.1 167772161 192.168.1
    0xc0a80001 169.254.43518 0xa9fea9fe 2852039166 169.254.169.254 fe80::1 fd00:ec2::254
"""


@pytest.mark.parametrize("address", OWN.split())
def test_of_ones_own(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", SPELLED.split())
async def test_what_the_system_reads_in_it_counts(host: str) -> None:
    with pytest.raises(NotPublicError):
        await public_addresses(host, 443)


async def test_where_a_public_one_is() -> None:
    assert await public_addresses("1.1.1.1", 443) == ["1.1.1.1"]


async def test_no_such_host() -> None:
    with pytest.raises(OSError, match=r".") as caught:
        await public_addresses("no-such-host.invalid", 443)
    assert not isinstance(caught.value, NotPublicError)
