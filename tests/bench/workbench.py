"""What the benches share: programs, certificates and the origin, loads that end the run when a request fails, and how
CPU, memory and system calls of a gateway are taken."""

import contextlib
import os
import pathlib
import platform
import re
import shutil
import signal
import subprocess
import sys
import time

import gateways
from gateways import LOAD_CORE, ROOT, die, on_core

CIPHER, GROUP = "TLS_AES_128_GCM_SHA256", "X25519"
H2_CONNECTIONS, H2_STREAMS = 16, 32  # of h2load: connections, and requests at once on each

# What clients offer, so that all gateways do the same cryptography.
OPENSSL = f"""openssl_conf = clients
[clients]
ssl_conf = ssl
[ssl]
system_default = offered
[offered]
Ciphersuites = {CIPHER}
Groups = {GROUP}
"""

KEYS = {"ecdsa": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "rsa": ["rsa:2048"]}

# wrk tells its bytes rounded; this tells them exactly, and costs a response nothing.
WRK_SUMMARY = 'done = function(summary) print("bytes " .. summary.bytes) end\n'


def search_path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def require(options, *programs):
    """Ends the run when something that it needs is not there."""
    os.environ["PATH"] = search_path()
    needed = ["taskset", "openssl", "cc", *programs]
    needed += [gateways.PROGRAMS[name][0] for name in options.gateways if name in gateways.PROGRAMS]
    missing = [program for program in dict.fromkeys(needed) if not shutil.which(program)]
    if missing:
        die(f"needs {', '.join(missing)} (scripts/setup bench installs them)")
    if "sallyport" in options.gateways and not options.binary.exists():
        die(f"there is no {options.binary}: cmake --preset release && cmake --build --preset release")
    if os.cpu_count() < 2:
        die("needs two cores")


def cpu_model():
    found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def core_seconds(core):
    """What a core has done for anybody, hypervisor's other guests included, in seconds."""
    found = re.search(rf"^cpu{core} (.*)", pathlib.Path("/proc/stat").read_text(), re.M)
    user, nice, system, _, _, irq, softirq, steal = [int(word) for word in found.group(1).split()[:8]]
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Usage:
    """What a gateway used between `with` and its end: `cpu` and `elapsed` in seconds, and `others`, the share of its
    core that somebody else used meanwhile."""

    def __init__(self, gateway):
        self.gateway = gateway

    def __enter__(self):
        self.core = core_seconds(gateways.GATEWAY_CORE)
        self.cpu, self.started = self.gateway.cpu_seconds(), time.monotonic()
        return self

    def __exit__(self, *failed):
        if failed[0]:
            return
        self.elapsed = time.monotonic() - self.started
        used = self.settled() - self.cpu
        whole = time.monotonic() - self.started
        self.cpu = used
        self.others = max(0.0, (core_seconds(gateways.GATEWAY_CORE) - self.core - used) / whole)

    def settled(self):
        """Its CPU time once it does nothing any more: the last connections are closed by then."""
        before = self.gateway.cpu_seconds()
        for _ in range(20):
            time.sleep(0.03)
            now = self.gateway.cpu_seconds()
            if now - before < 0.0003:
                break
            before = now
        return now


class Workbench:
    """Everything around the gateways, in a temporary folder; `stop` ends what it started."""

    # Programs of tests/bench, and what else of the compiler's command line they need.
    PROGRAMS = {"origin": [], "client": ["-lssl", "-lcrypto", "-lpthread"]}
    CERTIFICATES = ("ecdsa",)

    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.gateways = []
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that whoever made this gets to `stop`
        self.build()
        os.sched_setaffinity(0, {int(LOAD_CORE)})  # and all that it starts, gateways aside
        for kind in self.CERTIFICATES:
            self.make_certificate(kind)
        (folder / "openssl.cnf").write_text(OPENSSL)
        (folder / "summary.lua").write_text(WRK_SUMMARY)
        self.origin = subprocess.Popen(on_core(LOAD_CORE, self.tool("origin")), stdout=subprocess.PIPE, text=True)
        self.origin_port = int(self.origin.stdout.readline())

    def stop(self):
        for gateway in self.gateways:
            gateway.stop()
        self.origin.kill()
        self.origin.wait()

    def tool(self, name):
        return self.folder / "tools" / name

    def build(self):
        self.tool("").mkdir()
        for name, others in self.PROGRAMS.items():
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", f"-I{ROOT / 'tests'}", "-o", self.tool(name),
                            ROOT / "tests" / "bench" / f"{name}.c", *others], check=True)
        if "go" in self.options.gateways:
            subprocess.run(["go", "build", "-o", self.tool("reverse_proxy"),
                            ROOT / "tests" / "bench" / "reverse_proxy.go"], check=True,
                           env={**os.environ, "GO111MODULE": "off"})

    def make_certificate(self, kind):
        """localhost.pem, the chain and its key, in a folder of its own."""
        folder = self.folder / kind
        folder.mkdir()
        files = ["-keyout", folder / "key", "-out", folder / "chain"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", *KEYS[kind], "-nodes", "-days", "30", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", *files],
                       check=True, capture_output=True)
        (folder / "localhost.pem").write_text((folder / "chain").read_text() + (folder / "key").read_text())
        (folder / "chain").unlink()
        (folder / "key").unlink()

    # Loads. Each returns how many requests were answered; one that fails ends the run.

    def client_command(self, *words):
        return {"args": on_core(LOAD_CORE, *words), "text": True,
                "env": {**os.environ, "OPENSSL_CONF": str(self.folder / "openssl.cnf")}}

    def run_client(self, *words):
        done = subprocess.run(**self.client_command(*words), capture_output=True)
        if done.returncode != 0:
            die(f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    def client(self, gateway, what, count, *more):
        """client.c, which says what was negotiated."""
        said = self.run_client(self.tool("client"), what, gateway.port, count, *more).split()
        if said[:2] != ["done", "TLSv1.3"] or said[2] != CIPHER:
            die(f"{gateway.name} speaks {' '.join(said)}")
        return count

    def wrk(self, gateway, path, length, connections, seconds):
        text = self.run_client("wrk", "-t", 1, "-c", connections, "-d", f"{seconds}s", "-s", self.folder / "summary.lua",
                               f"https://localhost:{gateway.port}{path}")
        requests = int(re.search(r"(\d+) requests in", text).group(1))
        received = int(re.search(r"bytes (\d+)", text).group(1))
        if re.search(r"Non-2xx|Socket errors", text) or requests == 0 or received < requests * length:
            die(f"{gateway.name}: requests failed:\n{text}")
        return requests

    def h2load(self, gateway, path, length, how, connections=H2_CONNECTIONS, streams=H2_STREAMS):
        """`how`: for how long, or how many, as h2load takes it."""
        text = self.run_client("h2load", "-t", 1, "-c", connections, "-m", streams, f"--tls13-ciphers={CIPHER}", *how,
                               f"--connect-to=127.0.0.1:{gateway.port}", f"https://localhost:{gateway.port}{path}")
        found = re.search(r"(\d+) succeeded, (\d+) failed, (\d+) errored", text)
        succeeded, failed, errored = [int(word) for word in found.groups()] if found else (0, 0, 0)
        received = int(re.search(r"\((\d+)\) data", text).group(1))
        wrong = re.search(r"2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", text)
        if succeeded == 0 or failed + errored > 0 or any(map(int, wrong.groups())) or received < succeeded * length:
            die(f"{gateway.name}: requests failed:\n{text}")
        if "Application protocol: h2" not in text:
            die(f"{gateway.name}: not HTTP/2:\n{text}")
        return succeeded

    @contextlib.contextmanager
    def held(self, *words, word):
        """A client that says `word` and holds what it has until the end of the block, which is told what else it said."""
        with subprocess.Popen(**self.client_command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
            said = client.stdout.readline().split(maxsplit=1)
            if not said or said[0] != word:
                die(f"{' '.join(map(str, words))} does not hold")
            yield said[-1].strip()
            client.stdin.close()
            client.wait()

    def memory_beside(self, gateway, *words, word="idle"):
        """Of the gateway while such a client holds what it has."""
        with self.held(*words, word=word):
            time.sleep(0.3)
            value = gateway.memory_bytes()
        time.sleep(0.3)
        return value

    def idle_memory(self, gateway, count):
        """Bytes a connection in a process that has just started, after a few connections have warmed it."""
        gateway.stop()
        gateway.start()
        idle = (self.tool("client"), "idle", gateway.port)
        self.memory_beside(gateway, *idle, 8)
        before = gateway.memory_bytes()
        return (self.memory_beside(gateway, *idle, count) - before) / count

    @contextlib.contextmanager
    def traced(self, gateway):
        """Counts the system calls of the block, by name, into the dictionary that it is given at its end."""
        counts, path = {}, self.folder / f"{gateway.name}.strace"
        pids = [part for pid in gateway.pids() for part in ("-p", str(pid))]
        strace = subprocess.Popen(on_core(gateways.GATEWAY_CORE, "strace", "-f", "-c", "-o", path, *pids),
                                  stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not all(re.search(r"TracerPid:\t[1-9]", (task / "status").read_text()) for task in gateway.tasks()):
            if strace.poll() is not None or time.monotonic() > deadline:
                die(f"strace does not attach to {gateway.name}")
            time.sleep(0.02)
        try:
            yield counts
            time.sleep(0.3)  # for what is closed last
        finally:
            strace.send_signal(signal.SIGINT)
            strace.wait()
        for count, name in re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", path.read_text(), re.M):
            if name != "total":
                counts[name] = int(count)


def calls_by_name(counts, by, most=7):
    """The most frequent ones, for a note."""
    each = sorted(((count / by, name) for name, count in counts.items()), reverse=True)
    return ", ".join(f"{name} {value:.2f}" for value, name in each[:most] if value >= 0.01)
