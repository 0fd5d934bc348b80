"""The registry of engines; each engine has its own file or package in this folder."""

from agents.engines.settings import EngineSettings
from evaluation.registry import Registry

ENGINES: Registry[type[EngineSettings]] = Registry("engine", "agents.engines")
