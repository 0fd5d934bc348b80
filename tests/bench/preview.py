"""Compares what `maft preview` expects of a job with what the job takes: time, memory, tokens and disk.

python -m tests.bench.preview                              the default job
python -m tests.bench.preview job.yaml --set iterations=1  any options of `maft run`
make bench-preview                                         the default job

Preview and job run one after the other, each as a new process, the job in a new home whose servers it starts. Memory is
the peak of the process of `maft run`, which computes the job; the servers of Prefect and MLflow are not counted. If
other programs run meanwhile, repeat it: the ratios are of a preview and a job that both had the same neighbours.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.measure import Row
from tests.conftest import Maft, free_port, plain_environment

POLL_SECONDS = 0.2


def rows(*options: str) -> Iterator[Row]:
    """The rows: expected, found, their ratio and the limit of the ratio."""
    with tempfile.TemporaryDirectory() as home:
        ports = {"MAFT_PREFECT_PORT": str(free_port()), "MAFT_MLFLOW_PORT": str(free_port())}
        maft = Maft({**plain_environment(), **ports, "MAFT_HOME": home})
        started = time.monotonic()
        expected = maft.json("preview", *options)["forecast"]
        spent = time.monotonic() - started
        try:
            found, peak = watched(maft.start("run", *options, "--json"))
        finally:
            maft("down")
        disk = sum(file.stat().st_size for file in Path(home).rglob("*") if file.is_file())
    stages = {"generate and debate": 0.0, "finetune": 0.0, "evaluate": 0.0}
    for generation in found["generations"]:
        for stage, seconds in generation["seconds"].items():
            stages[stage] += seconds
    yield "preview, s", f"{spent:.0f}", "", "", ""
    yield _row("job, s", expected["total_seconds"], found["seconds"], "1.5")
    for stage, seconds in stages.items():
        yield _row(f"  {stage}, s", expected["seconds"][stage], seconds)
    outside = expected["seconds"]["start"] + expected["seconds"]["register"]
    yield _row("  start and register, s", outside, found["seconds"] - sum(stages.values()))
    yield _row("peak memory, MB", expected["memory_bytes"] / 1e6, peak / 1e6, "1.5")
    yield _row("disk, MB", expected["disk_bytes"] / 1e6, disk / 1e6)
    for kind in ("sampled_tokens", "trained_tokens"):
        yield _row(kind.replace("_", " "), expected[kind], sum(each[kind] for each in found["generations"]))


def _row(name: str, expected: float, found: float, limit: str = "") -> Row:
    return name, f"{expected:,.0f}", f"{found:,.0f}", f"{expected / found:.2f}" if found else "-", limit


def watched(process: "subprocess.Popen[str]") -> tuple[dict, int]:
    """The JSON that a process prints, and its peak memory in bytes, as the kernel counts it."""
    peak = 0
    with tempfile.TemporaryFile("w+") as said:
        # Read in another process, so that a full pipe does not stop the job.
        reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=said)
        log = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, _peak(process.pid))
            time.sleep(POLL_SECONDS)
        reader.wait(), log.wait()
        said.seek(0)
        assert process.returncode == 0, f"the job ended with status {process.returncode}"
        return json.loads(said.read()), peak


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


if __name__ == "__main__":
    print("| measure | preview | job | ratio | limit |\n|---|---|---|---|---|", flush=True)
    for row in rows(*sys.argv[1:]):
        print(f"| {' | '.join(row)} |", flush=True)
