"""The gateways that are measured, each started as a good operator would start it: one worker, the same certificate,
connections to the backend kept, X-Forwarded-For and -Proto added, tickets on, HTTP/2 offered where it is spoken."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GATEWAY_CORE, LOAD_CORE = "0", "1"

NGINX = """
user {user};
worker_processes 1;
daemon off;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx.log warn;
worker_rlimit_nofile 16384;
events {{ worker_connections 8192; }}
http {{
    access_log {log};
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive {kept};
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} ssl http2 backlog=4096;
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_buffers 16 16k;
            proxy_buffer_size 16k;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn 8192
    tune.ssl.default-dh-param 2048
    ssl-default-bind-options ssl-min-ver TLSv1.2
    {log_to}
defaults
    mode http
    {log}
    timeout connect 3s
    timeout client 75s
    timeout server 60s
    timeout http-keep-alive 75s
frontend https
    bind 127.0.0.1:{port} ssl crt {pem} alpn h2,http/1.1 backlog 4096
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend origin
backend origin
    http-reuse always
    server origin 127.0.0.1:{origin}
"""

HITCH = """
frontend = "[127.0.0.1]:{port}"
backend = "[127.0.0.1]:{origin}"
pem-file = "{pem}"
tls-protos = TLSv1.2 TLSv1.3
workers = 1
backlog = 4096
daemon = off
quiet = on
{user_line}
"""

CADDY = """
{{
    admin off
    auto_https off
    log {{
        level ERROR
    }}
}}
https://localhost:{port} {{
    bind 127.0.0.1
    tls {pem} {pem}
    {log}
    reverse_proxy 127.0.0.1:{origin} {{
        transport http {{
            keepalive_idle_conns_per_host {kept}
            compression off
        }}
    }}
}}
"""

# What Debian calls them, and what says their version.
PROGRAMS = {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "hitch": ["hitch", "--version"],
            "nghttpx": ["nghttpx", "--version"], "caddy": ["caddy", "version"], "go": ["go", "version"]}
NAMES = ("sallyport", *PROGRAMS)
WITHOUT_H2 = ("hitch",)  # and without logs: it passes bytes on


def die(message):
    sys.exit(f"scripts/{pathlib.Path(sys.argv[0]).name}: {message}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def on_core(core, *command):
    return ["taskset", "-c", core, *map(str, command)]


def version_of(name, binary):
    done = subprocess.run([binary, "version"] if name == "sallyport" else PROGRAMS[name], capture_output=True, text=True)
    text = (done.stdout or done.stderr).splitlines()[0]
    found = re.search(r"\d+(?:\.\d+)+", text)
    shown = "Go ReverseProxy" if name == "go" else name
    return f"{shown} {found.group(0) if found else text}"


class Gateway:
    """One running gateway with all its processes. `bench` is the Workbench whose folder, certificates and origin it
    uses; `pem` one of its certificates; `logged`: it writes an access log. It is stopped by `stop`, or lives on."""

    CONFIGURATIONS = {"nginx": NGINX, "haproxy": HAPROXY, "hitch": HITCH, "caddy": CADDY}
    KEPT = 512  # connections to the backend: as many as there are requests at once
    START_SECONDS = 10  # that it may take at most

    def __init__(self, name, bench, certificate="ecdsa", logged=False):
        self.name, self.bench, self.certificate, self.logged = name, bench, certificate, logged
        self.port = 0
        self.process = None
        self.start()

    def start(self):
        log = open(self.bench.folder / f"{self.name}.err", "w+b")
        folder = self.bench.folder
        values = {"folder": folder, "origin": self.bench.origin_port, "kept": self.KEPT, "log": "", "log_to": "",
                  "pem": folder / self.certificate / "localhost.pem", "user": "root" if os.getuid() == 0 else "nobody"}
        if self.name != "sallyport":
            values["port"] = self.port = free_port()
        command = on_core(GATEWAY_CORE, *self.command(values))
        environment = {**os.environ, "GOMAXPROCS": "1", "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        with open(self.log_path(), "ab") as written:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=written, stderr=log,
                                            env=environment)
        self.await_ready(log)

    def log_path(self):
        """Of its access log; haproxy's is its standard output."""
        return self.bench.folder / f"{self.name}.access"

    def write_configuration(self, values):
        path = self.bench.folder / f"{self.name}-{values['port']}.conf"
        path.write_text(self.CONFIGURATIONS[self.name].format(**values))
        return path

    def command(self, values):
        return getattr(self, f"command_{self.name}")(values)

    # How each is started; with `logged` each writes its usual line about each request.

    def command_nginx(self, values):
        values["log"] = self.log_path() if self.logged else "off"
        return ["nginx", "-p", values["folder"], "-e", values["folder"] / "nginx.log", "-c",
                self.write_configuration(values)]

    def command_haproxy(self, values):
        if self.logged:
            values["log_to"] = "log stdout format raw local0"
            values["log"] = "log global\n    option httplog\n    option dontlognull"
        return ["haproxy", "-db", "-f", self.write_configuration(values)]

    def command_hitch(self, values):
        values["user_line"] = 'user = "nobody"' if os.getuid() == 0 else ""
        return ["hitch", f"--config={self.write_configuration(values)}"]

    def command_nghttpx(self, values):
        log = [f"--accesslog-file={self.log_path()}"] if self.logged else []
        return ["nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{values['port']}",
                f"--backend=127.0.0.1,{values['origin']}", "--workers=1", "--add-x-forwarded-for", "--no-ocsp",
                "--backend-keep-alive-timeout=60s", "--errorlog-file=/dev/null", *log, values["pem"], values["pem"]]

    def command_caddy(self, values):
        if self.logged:
            values["log"] = f"log {{\n        output file {self.log_path()} {{\n            roll_disabled\n        }}\n    }}"
        return ["caddy", "run", "--adapter", "caddyfile", "--config", self.write_configuration(values)]

    def command_go(self, values):
        log = [self.log_path()] if self.logged else []
        return [self.bench.tool("reverse_proxy"), f"127.0.0.1:{values['port']}", values["pem"],
                f"127.0.0.1:{values['origin']}", *log]

    def command_sallyport(self, values):
        path = self.bench.folder / f"routes-{self.certificate}-{self.logged}.json"
        path.write_text(json.dumps(self.routes(values)))
        return [self.bench.options.binary, "run", "-c", path, "--workers", "1"]

    def routes(self, values):
        return {
            "listen": {"https": "127.0.0.1:0", "admin": "off"},
            "certs": str(values["pem"].parent),
            "log": {"access": str(self.log_path()) if self.logged else "off"},
            "backends": {"origin": {"servers": [f"127.0.0.1:{values['origin']}"], "keepalive": self.KEPT}},
            "routes": {"*": "origin"},
        }

    def await_ready(self, log):
        for _ in range(self.START_SECONDS * 20):
            if self.process.poll() is not None:
                break
            if self.name == "sallyport" and not self.port:
                found = re.search(rb'"event":"ready".*?"https":\["[^"]*:(\d+)"', self.text_of(log))
                self.port = int(found.group(1)) if found else 0
            if self.port:
                try:
                    socket.create_connection(("127.0.0.1", self.port), 1).close()
                    return
                except OSError:
                    pass
            time.sleep(0.05)
        die(f"{self.name} did not start:\n{self.text_of(log).decode(errors='replace')}")

    @staticmethod
    def text_of(log):
        return os.pread(log.fileno(), 65536, 0)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if self.name != "nginx" else signal.SIGINT)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.port = 0

    def pids(self):
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                queue += [int(child) for child in children.read_text().split()]
        return found

    def tasks(self):
        return [task for pid in self.pids() for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]

    def cpu_seconds(self):
        """What the scheduler gave to all threads, in seconds."""
        return sum(int((task / "schedstat").read_text().split()[0]) for task in self.tasks()) / 1e9

    def memory_bytes(self):
        """Resident, of all processes."""
        total = 0
        for pid in self.pids():
            found = re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
            total += int(found.group(1)) * 1024
        return total
