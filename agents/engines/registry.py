"""The engines that there are: one file of this folder for each."""

from agents.engines.settings import EngineSettings
from evaluation.registry import Registry

ENGINES: Registry[type[EngineSettings]] = Registry("engine", "agents.engines")
