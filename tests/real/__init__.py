"""Tests and experiments with a real model, SmolLM2-135M-Instruct (`make test-real`)."""

import os
from pathlib import Path

VARIABLE = "MAFT_REAL_MODEL"
MODEL = Path(os.environ.get(VARIABLE, Path(__file__).parents[2] / ".venv" / "real" / "smollm2")).absolute()
"""The folder of the model."""
