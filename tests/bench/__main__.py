"""`make bench`: how fast the parts are, as a table in Markdown; docs/bench.md keeps one with its date.

    generation   all agents against one prompt at a time, PEFT, and the machine's floor    tests/bench/generation.py
    training     all adapters against bare passes and against TRL, agent by agent; memory  tests/bench/training.py
    job          the default job, and what of it is not sampling or training               tests/bench/job.py
    vllm         against vLLM on the same prompts: `make bench-vllm`                       tests/bench/against_vllm.py

Each row is measured in one run, both sides taking turns, so that a machine whose speed drifts slows both. Nothing else
should run. It takes three quarters of an hour on two cores.
"""

import itertools

from tests.bench import generation, job, training
from tests.bench.measure import table

table(itertools.chain(generation.rows(), training.rows(), job.rows()))
