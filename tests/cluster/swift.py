"""OpenStack Swift with its S3 interface: a real store of Debian's packages, for the tests of a job on several hosts."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = [f"swift-{name}-server" for name in ("account", "container", "object", "proxy")]
PORTS = {"account": 6202, "container": 6201, "object": 6200, "proxy": 8080}
KEYS = {"AWS_ACCESS_KEY_ID": "test:tester", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
START_SECONDS = 60

STORAGE = """
[DEFAULT]
bind_ip = {address}
bind_port = {port}
workers = 1
user = swift
swift_dir = {folder}
devices = {folder}/devices
mount_check = false

[pipeline:main]
pipeline = {name}-server

[app:{name}-server]
use = egg:swift#{name}
"""
PROXY = """
[DEFAULT]
bind_ip = {address}
bind_port = {port}
workers = 2
user = swift
swift_dir = {folder}

[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats s3api tempauth slo proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin

[filter:s3api]
use = egg:swift#s3api
location = us-east-1

[filter:cache]
use = egg:swift#memcache
memcache_servers = {address}:11211

""" + "\n".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "slo")
)


def why_not() -> str | None:
    """Why Swift cannot be started here; None if it can."""
    absent = [name for name in (*PROGRAMS, "memcached") if shutil.which(name) is None]
    if absent:
        return f"there is no {absent[0]} (Debian's swift-account, -container, -object, -proxy, and memcached)"
    return None if os.geteuid() == 0 else "Swift is started as root, and gives up its rights"


@contextmanager
def swift(folder: Path, address: str, on: Sequence[str]) -> Iterator[str]:
    """The URL of the S3 interface of a new store on a host; the store ends when the context ends.

    Args:
        folder: for its configuration and its data; a new one, readable for everybody.
        address: the address of the host.
        on: the start of a command that runs there.
    """
    (folder / "devices" / "d1").mkdir(parents=True)
    for place in (folder, folder / "devices", folder / "devices" / "d1"):
        shutil.chown(place, "swift", "swift")
    for name, port in PORTS.items():
        text = PROXY if name == "proxy" else STORAGE
        (folder / f"{name}.conf").write_text(text.format(name=name, address=address, port=port, folder=folder), "utf-8")
        if name != "proxy":
            builder = ["swift-ring-builder", str(folder / f"{name}.builder")]
            for step in (["create", "6", "1", "1"], ["add", f"r1z1-{address}:{port}/d1", "100"], ["rebalance"]):
                subprocess.run([*builder, *step], check=True, capture_output=True)
    commands = [
        ["memcached", "-u", "memcache", "-l", address],
        *([f"swift-{n}-server", str(folder / f"{n}.conf")] for n in PORTS),
    ]
    with (folder / "log").open("wb") as log:
        running = [subprocess.Popen([*on, *command], stdout=log, stderr=log) for command in commands]
        try:
            url = f"http://{address}:{PORTS['proxy']}"
            _wait(f"{url}/healthcheck", on, folder / "log")
            yield url
        finally:
            for each in running:
                each.terminate()
            for each in running:
                each.wait(20)


def _wait(url: str, on: Sequence[str], log: Path) -> None:
    probe = [*on, sys.executable, "-c", f"import urllib.request; urllib.request.urlopen({url!r}, timeout=5)"]
    deadline = time.monotonic() + START_SECONDS
    while subprocess.run(probe, capture_output=True, check=False).returncode:
        assert time.monotonic() < deadline, log.read_text("utf-8")
        time.sleep(0.5)
