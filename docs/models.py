"""Writes the table of model families into docs/models.md. Run by `make docs`; it takes a minute."""

import logging
import sys
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from tests.families.table import BEGIN, END, table

    # What is said about each model stands in the table.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    text = PAGE.read_text("utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}{table()}{END}{after}", "utf-8")
