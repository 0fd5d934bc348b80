"""A real S3 server for tests: moto's, in a process of its own on loopback."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from s3fs import S3FileSystem

PASSWORD = "a-secret-of-s3"


@dataclass(frozen=True)
class S3:
    """The server, and a bucket in it."""

    endpoint: str
    bucket: str

    @property
    def environment(self) -> dict[str, str]:
        """What a user exports to use it."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def s3_server(port: int, bucket: str = "maft") -> Iterator[S3]:
    """Run the server with an empty bucket."""
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.put(f"{endpoint}/{bucket}").raise_for_status()
                break
            except httpx.TransportError:
                assert process.poll() is None, "moto's server ended"
                time.sleep(0.1)
        yield S3(endpoint, bucket)
    finally:
        process.kill()
        process.wait()
        S3FileSystem.clear_instance_cache()  # The next server has another address.
