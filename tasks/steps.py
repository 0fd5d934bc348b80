"""The steps of Algorithm 1 as Prefect tasks: the same functions, cached by content and retried.

One task is one round of all agents over all problems, or the training of all agents.
"""

from agents import steps
from infra.home.cache import step

generate = step(name="{run.label} · generate")(steps.generate)
debate = step(name="{run.label} · debate · round {transcript.next_round}")(steps.debate)
weigh = step(name="{run.label} · weigh the votes")(steps.weigh)
vote = step(name="{run.label} · vote")(steps.vote)
split = step(name="{run.label} · split · {agent.name}")(steps.split)
finetune = step(name="{run.label} · finetune")(steps.finetune)
evaluate = step(name="{run.label} · score")(steps.evaluate)
