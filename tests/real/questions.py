"""Questions that a small real model answers sometimes: What is 7 * 12? `python -m tests.real.questions FILE`."""

import itertools
import json
import sys
from pathlib import Path

FACTORS = range(2, 20)


def write_questions(file: Path) -> Path:
    """Write all products of two factors as a JSONL file; a job draws its problems from them with its seed."""
    rows = [{"question": f"What is {a} * {b}?", "answer": str(a * b)} for a, b in itertools.product(FACTORS, FACTORS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return file


if __name__ == "__main__":
    write_questions(Path(sys.argv[1]))
