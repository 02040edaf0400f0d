"""The columns of scripts/bench: what each is called, how it is taken, and what is to be reached."""

import dataclasses
import math
import typing

import gateways
import workbench
from workbench import Usage, calls_by_name

CONNECTIONS = 64  # of wrk
HANDSHAKES = 16  # at once
BODY_CONNECTIONS = 4  # of downloads and uploads
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True)
class Column:
    """`take(bench, gateway)` returns a figure and the share of the core that others used, or None where they do not
    matter."""
    key: str
    label: str
    unit: str
    take: typing.Callable
    certificate: str = "ecdsa"
    logged: bool = False
    is_once: bool = False  # counts, which come out the same every time
    without: tuple = ()  # gateways that cannot do it


def cpu_of(load, unit):
    """A column's `take`: CPU of the gateway by what `load(bench, gateway)` says it has got done."""
    def take(bench, gateway):
        with Usage(gateway) as usage:
            done = load(bench, gateway)
        return usage.cpu / done * unit, usage.others
    return take


def calls_of(key, load):
    """The same for system calls. What is set up once, strace's own start included, is in none of them."""
    def take(bench, gateway):
        with bench.traced(gateway) as counts:
            done = load(bench, gateway)
        bench.notes.setdefault(key, {})[gateway.name] = calls_by_name(counts, done)
        return sum(counts.values()) / done, None
    return take


# Loads: how many requests, connections or GiB each has got done. What takes a second is a guess for a slow gateway.

def keep_alive(bench, gateway):
    return bench.wrk(gateway, "/1k", KIB, CONNECTIONS, math.ceil(bench.options.seconds))


def h2_requests(bench, gateway):
    return bench.h2load(gateway, "/1k", KIB, ("-n", bench.amount(25000)))


def connections(bench, gateway):
    return bench.client(gateway, "connections", bench.amount(1000), HANDSHAKES)


def resumptions(bench, gateway):
    """The first of each thread, which is full, is one more."""
    return bench.client(gateway, "resumptions", bench.amount(1000), HANDSHAKES) + HANDSHAKES


def downloads(bench, gateway, path, length, count):
    return bench.client(gateway, "download", count, BODY_CONNECTIONS, path, length) * length


def long_bodies(bench, gateway):
    return downloads(bench, gateway, "/10m", 10 * MIB, bench.amount(60)) / GIB


def short_bodies(bench, gateway):
    return downloads(bench, gateway, "/100k", 100 * KIB, bench.amount(5000)) / GIB


def uploads(bench, gateway):
    return bench.client(gateway, "upload", bench.amount(60), BODY_CONNECTIONS, 10 * MIB) * 10 * MIB / GIB


def idle_memory(bench, gateway):
    return bench.idle_memory(gateway, bench.options.idle) / KIB, None


def few_requests(bench, gateway):
    """So many that handshakes are few beside them."""
    return bench.wrk(gateway, "/1k", KIB, CONNECTIONS, 3)


def few_connections(bench, gateway):
    return bench.client(gateway, "connections", 400, HANDSHAKES)


def few_bodies(bench, gateway):
    return downloads(bench, gateway, "/10m", 10 * MIB, 20) / MIB


US = 1e6
NO_H2 = gateways.WITHOUT_H2

COLUMNS = [
    Column("keepalive", "keep-alive 1 KiB", "µs", cpu_of(keep_alive, US)),
    Column("full", "full handshake, ECDSA", "µs", cpu_of(connections, US)),
    Column("rsa", "full handshake, RSA-2048", "µs", cpu_of(connections, US), certificate="rsa"),
    Column("resumed", "resumed handshake", "µs", cpu_of(resumptions, US)),
    Column("h2", "HTTP/2 1 KiB", "µs", cpu_of(h2_requests, US), without=NO_H2),
    Column("10m", "10 MiB download", "s/GiB", cpu_of(long_bodies, 1)),
    Column("100k", "100 KiB download", "s/GiB", cpu_of(short_bodies, 1)),
    Column("upload", "10 MiB upload", "s/GiB", cpu_of(uploads, 1)),
    Column("idle", "idle connection", "KiB", idle_memory, is_once=True),
    Column("calls", "system calls a request", "", calls_of("calls", few_requests), is_once=True),
    Column("calls_full", "system calls a full handshake", "", calls_of("calls_full", few_connections), is_once=True),
    Column("calls_mib", "system calls a MiB", "", calls_of("calls_mib", few_bodies), is_once=True),
    Column("logged", "keep-alive 1 KiB, access log", "µs", cpu_of(keep_alive, US), logged=True, without=NO_H2),
]

# What is to be reached: (column, by which gateway's, at most). None: as it is.
TARGETS = [
    ("keepalive", "nginx", 0.82), ("full", "nginx", 0.52), ("resumed", "nginx", 0.46), ("10m", "nginx", 0.82),
    ("100k", "nginx", 0.70), ("upload", "nginx", 0.65), ("h2", "haproxy", 0.92), ("idle", None, 3.5),
    ("calls", None, 4.3), ("calls_full", None, 16), ("calls_mib", None, 20),
]


class Bench(workbench.Workbench):
    """Measures columns of several gateways in turns."""

    CERTIFICATES = ("ecdsa", "rsa")

    def __init__(self, options, folder):
        super().__init__(options, folder)
        self.notes = {}  # by column and gateway: which system calls

    def amount(self, a_second):
        return max(1, int(a_second * self.options.seconds))

    def run(self, columns, tell):
        """By column and gateway: (figure, share of others) of each round. `tell` gets a line before each."""
        found = {}
        for column in sorted(columns, key=lambda each: (each.certificate, each.logged)):
            self.start(column)
            for number in range(1 if column.is_once else self.options.rounds):
                for gateway in self.gateways:
                    if gateway.name in column.without:
                        continue
                    tell(f"{column.label}, round {number + 1}: {gateway.name}")
                    rounds = found.setdefault(column.key, {}).setdefault(gateway.name, [])
                    rounds.append(column.take(self, gateway))
        return found

    def start(self, column):
        """All gateways with what the column needs, unless they run so already."""
        if self.gateways and (self.gateways[0].certificate, self.gateways[0].logged) == (column.certificate,
                                                                                         column.logged):
            return
        for gateway in self.gateways:
            gateway.stop()
        self.gateways = []
        for name in self.options.gateways:
            self.gateways.append(gateways.Gateway(name, self, column.certificate, column.logged))
            self.warm(self.gateways[-1])

    def warm(self, gateway):
        """Requests that count for nothing: connections to the backend and memory are there after them."""
        self.client(gateway, "connections", 4 * CONNECTIONS, CONNECTIONS)
