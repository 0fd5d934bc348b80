"""`make bench`: measures the speed of the parts and prints a table in Markdown; docs/bench.md has one with its date.

    generation   all agents against single prompts, PEFT, and the limit of the machine     tests/bench/generation.py
    training     all adapters against bare passes and against TRL per agent; memory        tests/bench/training.py
    job          the default job, and its time other than sampling and training            tests/bench/job.py
    vllm         against vLLM on the same prompts: `make bench-vllm`                       tests/bench/against_vllm.py

Each row is measured in one run in which both sides take turns, so that a change of the machine's speed affects both.
No other program should run meanwhile. The bench takes 45 minutes on two cores.
"""

import itertools

from tests.bench import generation, job, training
from tests.bench.measure import table

table(itertools.chain(generation.rows(), training.rows(), job.rows()))
