"""Try: what a job's base models and its engine can do, before anything is sampled or written."""

from agents import try_bases as plain
from infra.home.cache import step

try_bases = step(name="try the base model")(plain.try_bases)
try_engines = step(name="try the engine with an adapter")(plain.try_engines)
