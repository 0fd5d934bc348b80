"""The steps that only a benchmark has, as Prefect tasks: the functions of `agents.benchmark`, cached and retried."""

from agents.benchmark import pool as pooling
from agents.benchmark import score_method as scoring
from agents.benchmark import star
from agents.judging import diversity as judging
from infra.home.cache import step

rationalise = step(name="{run.label} · rationalise")(star.rationalise)
references = step(name="{run.label} · references")(star.references)
pool = step(name="{run.label} · pool")(pooling.pool)
diversity = step(name="{run.label} · diversity")(judging.diversity)
score_method = step(name="{run.label} · score")(scoring.score_method)
