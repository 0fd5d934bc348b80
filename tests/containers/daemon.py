"""A Docker daemon for the tests alone, and the images that they need; nothing is pulled."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.forks import ROOT

PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "docker-compose": "docker-compose",
    "debootstrap": "debootstrap",
}
"""Programs that the tests need, each with its Debian package."""
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
READY_SECONDS = 60.0
INDEX_PORT = 43551
"""The same each time, since an image is built anew if one of its arguments differs."""


class Docker:
    """The client of a daemon with its own folder, so that another daemon on this machine is left alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # BuildKit would need a plugin of the client.
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock", "DOCKER_BUILDKIT": "0"}

    def __call__(self, *arguments: str, **options: Any) -> str:
        """The output of `docker ARGUMENTS`."""
        return self.run("docker", *arguments, **options)

    def run(self, *command: str, variables: Mapping[str, str] | None = None, **options: Any) -> str:
        environment = {**self.environment, **(variables or {})}
        done = subprocess.run(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options
        )
        said = done.stdout.decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(command)}: status {done.returncode}\n{said[-6000:]}"
        return said


@contextmanager
def docker_daemon(folder: Path) -> Iterator[Docker]:
    """A daemon while the block runs; its images and containers are in the folder.

    It changes no rule of the firewall, so containers reach each other and published ports, and no other machine.
    """
    docker = Docker(folder)
    command = [
        "dockerd",
        f"--data-root={folder}/root",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid",
        f"--host=unix://{folder}/docker.sock",
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--storage-driver=overlay2",
    ]
    log = folder / "dockerd.log"
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as daemon:
        try:
            deadline = time.monotonic() + READY_SECONDS
            while subprocess.run(["docker", "version"], env=docker.environment, capture_output=True).returncode:
                ended = daemon.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise OSError(f"dockerd does not run: {log.read_text().splitlines()[-1]}")
                time.sleep(0.5)
            yield docker
        finally:
            daemon.terminate()
            daemon.wait()
            # Docker leaves the network of the host mounted.
            subprocess.run(["umount", "--quiet", folder / "exec" / "netns" / "default"], check=False)


def build_images(docker: Docker) -> None:
    """Build maft-test-base (Debian with Python), maft-test, maft-test-postgres and maft-test-s3."""
    if not docker("images", "--quiet", "maft-test-base"):
        _import_debian(docker, docker.folder / "bookworm")
    with _torch_index(docker.folder / "index") as url:
        _build(docker, "maft-test", "infra/containers/Dockerfile", ".", TORCH_INDEX=url)
    for target in ("postgres", "s3"):
        here = "tests/containers"
        _build(docker, f"maft-test-{target}", f"{here}/Dockerfile", here, "--target", target)


def _import_debian(docker: Docker, folder: Path) -> None:
    packages = "--include=python3,python3-venv,ca-certificates"
    docker.run("debootstrap", "--variant=minbase", packages, "bookworm", str(folder))
    # The certificates of this machine, with which its pip reaches the package index.
    shutil.copyfile(f"/{CERTIFICATES}", folder / CERTIFICATES)
    (folder / "etc" / "pip.conf").write_text(f"[global]\ncert = /{CERTIFICATES}\n")
    docker.run("sh", "-c", f"tar -C {folder} -c . | docker import - maft-test-base")
    shutil.rmtree(folder)


def _build(docker: Docker, tag: str, file: str, context: str, *options: str, **arguments: str) -> None:
    arguments = {"BASE": "maft-test-base", **arguments}
    if index := os.environ.get("PIP_INDEX_URL"):
        arguments["PIP_INDEX_URL"] = index
    given = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
    docker("build", "--network", "host", "--file", file, "--tag", tag, *options, *given, context)


@contextmanager
def _torch_index(folder: Path) -> Iterator[str]:
    """An index of packages with the build of torch that pip finds on this machine; MAFT_TORCH_INDEX names another."""
    if url := os.environ.get("MAFT_TORCH_INDEX"):
        yield url
        return
    wanted = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("torch=="))
    if not folder.exists():
        command = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder / "torch"), wanted]
        subprocess.run([sys.executable, *command], check=True)
    with ThreadingHTTPServer(("127.0.0.1", INDEX_PORT), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{INDEX_PORT}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass
