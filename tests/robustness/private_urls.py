"""URLs by which strangers try to reach what is inside, and what must not be reached."""

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from tests.net.hosts import Host, hosting_together

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "ws_proxy")

# Hosts, and further down whole URLs; PORT stands for the port that the sinks listen at.
LITERALS = [
    # this machine
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "localhost",
    "LOCALHOST",
    "LocalHost.",
    "a.localhost",
    "localhost.localdomain.local",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::]",
    # the same, written as C libraries read it
    "127.1",
    "127.0.1",
    "0",
    "2130706433",
    "4294967297",
    "18446744071562067969",
    "0x7f000001",
    "0X7F000001",
    "0x7f.1",
    "0x7f.0.0.1",
    "127.0.0.0x1",
    "017700000001",
    "0177.0.0.1",
    "00000177.0.0.1",
    "0177.0x0.0.1",
    "127.000.000.001",
    "127.0.0.1.",
    "127.0.0.1..",
    "127..0.0.1",
    ".127.0.0.1",
    "127.0.0.256",
    "127.0.0.1.0",
    "0x",
    # networks
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.0.1",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[fe80::1%25lo]",
    "[fe80::1%lo]",
    "[::1%25lo]",
    "[fec0::1]",
    "[ff02::1]",
    "[2001:db8::1]",
    "[100::1]",
    "[3fff::1]",
    # metadata
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "metadata.google.internal",
    "METADATA.google.internal.",
    # an address inside another
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[::127.0.0.1]",
    "[::7f00:1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:a9fe:a9fe::1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[2606:4700::5efe:127.0.0.1]",
    "[2606:4700::200:5efe:127.0.0.1]",
    # letters that are not what they look like
    "\uff11\uff12\uff17.\uff10.\uff10.\uff11",
    "127\uff0e0\uff0e0\uff0e1",
    "127\u30020\u30020\u30021",
    "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460",
    "\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3",
    "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54",
    "loc\u00adalhost",
    "127.0.0.1\u200b",
    "xn--",
    "127%2e0%2e0%2e1",
    "%31%32%37.0.0.1",
    "%6c%6f%63%61lhost",
    "localhost%00.example.com",
    "127.0.0.1%00.example.com",
    "127.0.0.1%20",
    # names that only mean something inside
    "intranet",
    "printer.local",
    "router.home.arpa",
]
WHOLE = [
    # who is the host, and who the user
    "http://example.com@127.0.0.1:PORT/",
    "http://example.com:80@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT@example.com/",
    "http://user:password@example.com/",
    "http://@127.0.0.1:PORT/",
    "http://a@b@127.0.0.1:PORT/",
    r"http://example.com\@127.0.0.1:PORT/",
    r"http://127.0.0.1:PORT\@example.com/",
    r"http://127.0.0.1:PORT\.example.com/",
    "http://127.0.0.1:PORT#@example.com/",
    "http://127.0.0.1:PORT?@example.com/",
    "http://example.com%40127.0.0.1:PORT/",
    "http://127.0.0.1:PORT:PORT/",
    "http://127.0.0.1 :PORT/",
    "http://127.0.0.1:PORT /",
    "http://127.0.0.1:\uff18\uff10/",
    "http://[::1]x:PORT/",
    "http://[::1:PORT/",
    "http://[127.0.0.1]:PORT/",
    "http://[v1.127.0.0.1]:PORT/",
    "http://::1:PORT/",
    # no URL, or half of one
    "",
    " ",
    "/",
    "cat.jpg",
    "//127.0.0.1:PORT/",
    "127.0.0.1:PORT",
    "localhost:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http://",
    "http://:PORT/",
    "http://?",
    " http://127.0.0.1:PORT/",
    "\thttp://127.0.0.1:PORT/",
    "ht\ntp://127.0.0.1:PORT/",
    "http://127.0.0.1:PORT/\r\nX-Injected: yes",
    "http://exam\tple.com/",
    "http://example.com/" + "a" * 9000,
    # other schemes
    "file:///etc/passwd",
    "file://127.0.0.1:PORT/",
    "FILE:/etc/passwd",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "gopher://127.0.0.1:PORT/_GET%20/",
    "ftp://127.0.0.1:PORT/",
    "data:image/png;base64,iVBORw0KGgo=",
    "dict://127.0.0.1:PORT/",
    "ldap://127.0.0.1:PORT/",
    "ws://127.0.0.1:PORT/",
    "wss://127.0.0.1:PORT/",
    "javascript:fetch('http://127.0.0.1:PORT/')",
    "jar:http://127.0.0.1:PORT!/",
    "view-source:http://127.0.0.1:PORT/",
    # other ports
    "http://1.1.1.1:22/",
    "http://1.1.1.1:6379/",
    "http://1.1.1.1:0/",
    "http://1.1.1.1:-80/",
    "http://1.1.1.1:65536/",
    "https://1.1.1.1:25/",
]
VECTORS = [
    *(f"http://{host}:PORT/cat.jpg" for host in LITERALS),
    *("https://127.0.0.1:PORT/", "https://[::1]:PORT/", "https://[::ffff:127.0.0.1]:PORT/"),
    *WHOLE,
]


@dataclass
class Sinks:
    """What must not be reached: all of this machine, by either protocol, at one port."""

    hosts: list[Host]

    @property
    def port(self) -> int:
        """Where they listen."""
        return self.hosts[0].port

    def reached(self) -> int:
        """How many connections there have been."""
        return sum(host.reached() for host in self.hosts)


@contextlib.contextmanager
def sinking() -> Iterator[Sinks]:
    """Sinks, for as long as the block lasts."""
    with hosting_together("0.0.0.0", *(("::",) if socket.has_ipv6 else ())) as hosts:
        yield Sinks(hosts)
