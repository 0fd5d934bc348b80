"""The steps of Algorithm 1 as plain functions. `tasks.steps` has the same ones as cached Prefect tasks."""

from agents.debate.debate import debate
from agents.debate.generate import generate
from agents.debate.votes import weigh
from agents.evaluate import evaluate
from agents.split import split
from agents.training.finetune import finetune
from agents.vote import vote

__all__ = ["debate", "evaluate", "finetune", "generate", "split", "vote", "weigh"]
