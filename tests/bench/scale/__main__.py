"""`make bench-scale`: how long a job takes on 1, 8, 64 and 512 GPUs, what it costs, and where it stops scaling.

    python -m tests.bench.scale                                             the tables of docs/scale.md
    python -m tests.bench.scale --set problems=2000 --set agents=8          the same tables for another job
    python -m tests.bench.scale --set response=150 --set trained=3000       with other lengths, or rates of your own

A field is one of `Job` (model.py) or of `Rates` (rates.py), which also says where each number comes from.
Each cell has two numbers: with the best rates that others published, and with what was measured of maft itself.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from tests.bench.scale.model import Job, fastest_gpus, hours, iteration, limit, useful_gpus
from tests.bench.scale.rates import LARGE, PRICE, SMALL, Base, Rates, ours, published

GPUS = (1, 8, 64, 512)
JOBS = {
    "500 problems, 3 agents, 2 rounds": Job(problems=500, agents=3),
    "500 problems, 3 agents, 3 rounds": Job(problems=500, agents=3, rounds=3),
    "10,000 problems, 16 agents": Job(problems=10_000, agents=16),
    "10,000 problems, 64 agents": Job(problems=10_000, agents=64),
    "10,000 problems, 64 agents, each reads 3": Job(problems=10_000, agents=64, heard=3),
}
Sets = tuple[Rates, Rates]
"""The published rates and ours."""


def number(value: float) -> str:
    """A number with two digits, which is more than a model knows."""
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def span(values: tuple[float, float], show: Callable[[float], str] = number) -> str:
    """Both numbers of a cell."""
    low, high = map(show, values)
    return low if low == high else f"{low} – {high}"


def summary(jobs: Mapping[str, Job], rates: Mapping[Base, Sets]) -> Iterator[str]:
    """The table of where each job stops, and why."""
    yield "| base | job | half used up to, GPUs | no faster above, GPUs | what takes most of the time there |"
    yield "|---|---|--:|--:|---|"
    for base, both in rates.items():
        for name, job in jobs.items():
            useful, most = ([rule(job, one) for one in both] for rule in (useful_gpus, fastest_gpus))
            why = " or ".join(dict.fromkeys(limit(job, one, gpus) for one, gpus in zip(both, most, strict=True)))
            counts = [span((both_[0], both_[1]), "{:,}".format) for both_ in (useful, most)]
            yield f"| {base.name} | {name} | {' | '.join(counts)} | {why} |"


def grid(
    what: str, cost: Callable[[Job, Rates, int], float], jobs: Mapping[str, Job], rates: Mapping[Base, Sets]
) -> str:
    """A table of one cost of each job on each number of GPUs."""
    lines = [f"| {what} | {' | '.join(f'{gpus} GPU' + 's' * (gpus > 1) for gpus in GPUS)} |"]
    lines += [f"|---|{'--:|' * len(GPUS)}"]
    for base, (best, own) in rates.items():
        for name, job in jobs.items():
            row = [span((cost(job, best, gpus), cost(job, own, gpus))) for gpus in GPUS]
            lines.append(f"| {base.name}, {name} | {' | '.join(row)} |")
    return "\n".join(lines)


def parts(jobs: Mapping[str, Job], rates: Mapping[Base, Sets], gpus: int) -> Iterator[str]:
    """The table of what an iteration spends on so many GPUs, in minutes."""
    yield f"| base | job on {gpus} GPUs, minutes of an iteration | debates | training | driver | lineage |"
    yield "|---|---|--:|--:|--:|--:|"
    for base, both in rates.items():
        for name, job in jobs.items():
            spent = [iteration(job, one, gpus) for one in both]
            row = [span((spent[0][kind] / 60, spent[1][kind] / 60)) for kind in spent[0]]
            yield f"| {base.name} | {name} | {' | '.join(row)} |"


def used(rates: Mapping[Base, Sets]) -> Iterator[str]:
    """The table of the rates."""
    yield "| base | read, tokens/s | sampled | one row, ms a token | trained, tokens/s | loading, s | adapter, MB |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for base, (best, own) in rates.items():
        pairs = [(best.read, own.read), (best.sampled, own.sampled), (1000 * best.step, 1000 * own.step)]
        pairs += [(best.trained, own.trained), (best.load, own.load)]
        yield f"| {base.name} | {' | '.join(map(span, pairs))} | {own.adapter_bytes / 1e6:,.0f} |"


def changed(pairs: list[str]) -> tuple[dict[str, Job], dict[Base, Sets]]:
    """The jobs and the rates with these fields set, each FIELD=VALUE; if one is a job's, there is only one job."""
    given = dict(pair.split("=", 1) for pair in pairs)
    of_job = {field.name for field in fields(Job)}
    unknown = given.keys() - of_job - {field.name for field in fields(Rates)}
    if unknown:
        raise SystemExit(f"no such field: {', '.join(sorted(unknown))}; see tests/bench/scale/model.py and rates.py")
    own: dict[str, Any] = {
        key: float(value) if key == "learned" else int(value) for key, value in given.items() if key in of_job
    }
    jobs = {", ".join(f"{k}={v}" for k, v in own.items()): replace(Job(problems=500, agents=3), **own)} if own else JOBS
    other: dict[str, Any] = {key: float(value) for key, value in given.items() if key not in of_job}
    both = {base: (replace(published(base), **other), replace(ours(base), **other)) for base in (SMALL, LARGE)}
    return jobs, both


def page(jobs: Mapping[str, Job], rates: Mapping[Base, Sets]) -> str:
    """All tables."""
    cheap, dear = PRICE
    tables = [
        "\n".join(summary(jobs, rates)),
        grid("hours of the job", hours, jobs, rates),
        grid("hours of one iteration", lambda *on: sum(iteration(*on).values()) / 3600, jobs, rates),
        grid(f"dollars of the job, at ${cheap:.2f} for an hour", lambda *on: on[2] * cheap * hours(*on), jobs, rates),
        f"At ${dear:.2f}, the dollars are {dear / cheap:.1f} times as many.",
        "\n".join(parts(jobs, rates, 64)),
        "\n".join(used(rates)),
    ]
    return "\n\n".join(tables)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scale")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", dest="pairs")
    print(page(*changed(parser.parse_args().pairs)))


if __name__ == "__main__":
    main()
