"""Checks and identifies the base models of a config, with all settings that decide how they are used."""

from collections.abc import Sequence

from agents.debate.system_role import check_system_role
from agents.engines import base_model
from agents.engines.base_model import Bases
from infra.config.benchmark import Benchmark
from infra.config.job import Config


def check_bases(config: Config | Benchmark, names: Sequence[str]) -> None:
    """Refuse base models that cannot be used, or not with the config's system prompt and `chat_template`.

    Args:
        config: the config.
        names: those of its base models that one society has.

    Raises:
        BaseModelError: the message says which base model, and what to change.
    """
    if isinstance(config, Config) and config.hosted and config.hosted.base_model:
        base_model.check(config.hosted.base_model, "hosted.base_model", weights=False)
    base_model.check_all(names, config.chat_template, without_weights=_elsewhere(config, names))
    check_system_role(config.prompts.texts, names, config.trust_remote_code, config.chat_template.items())


def identify_bases(config: Config | Benchmark, names: Sequence[str]) -> Bases:
    """The base models with these names, as the config uses them; those of a hub are fetched first.

    Raises:
        BaseModelError: see `agents.engines.base_model.identify_bases`.
    """
    return base_model.identify_bases(
        names,
        config.trust_remote_code,
        dtype=config.runner.dtype,
        chat_template=config.chat_template,
        without_weights=_elsewhere(config, names),
    )


def _elsewhere(config: Config | Benchmark, names: Sequence[str]) -> set[str]:
    """The base models that neither speak nor learn on this machine or on those of the runner."""
    if config.engine.asks_server and config.finetune.asks_service:
        return set(names)
    if isinstance(config, Config) and config.hosted:
        return set(names) - {name for index, name in enumerate(names) if index not in config.hosted.agents}
    return set()
