"""The method of multiagent finetuning, in plain Python."""

import os

# Before torch is imported, since its OpenMP reads it then. By default, a thread that waits for another one keeps its
# core busy for milliseconds; on a shared machine, the other one waits for just that core. 2,000 turns are microseconds.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
