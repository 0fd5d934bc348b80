"""Makes a config mean the same in every folder, since a worker does not run where the command is called."""

from agents.engines.base_model import locate
from evaluation.problems.source import ListedSource, source_of
from infra.config.job import Config


def absolute(config: Config) -> Config:
    """The same job with absolute paths: of problems, and of base models in a folder. What is not set stays unset.

    Raises:
        BaseModelError: the name of a base model is neither a folder that exists nor a hub id.
    """
    changed = {
        "base_model": _base(config.base_model, "base_model"),
        "base_models": [_base(name, "base_models") for name in config.base_models],
        "hosted": config.hosted
        and config.hosted.model_copy(
            update={"base_model": config.hosted.base_model and _base(config.hosted.base_model, "hosted.base_model")}
        ),
        "problems": config.problems.model_copy(
            update={
                field: _problems(name)
                for field in ("train", "evaluation")
                if field in config.problems.model_fields_set and (name := getattr(config.problems, field))
            }
        ),
    }
    return config.model_copy(update={name: changed[name] for name in changed.keys() & config.model_fields_set})


def _base(name: str, field: str) -> str:
    return name if name == "embedded" else str(locate(name, field) or name)


def _problems(name: str) -> str:
    source = source_of(name)
    return source.absolute(name) if isinstance(source, ListedSource) else name
