"""The registry of runners; each runner has its own file or package in this folder."""

from agents.runners.settings import Runner
from evaluation.registry import Registry

RUNNERS: Registry[type[Runner]] = Registry("runner", "agents.runners")
