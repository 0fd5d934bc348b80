"""The base models that agents share: what identifies one, where its files are, what is refused, how it is loaded."""

from agents.engines.base_model.check import check, check_all
from agents.engines.base_model.files import EMBEDDED, folder_of, locate
from agents.engines.base_model.identify import check_unchanged, digest, identify_bases
from agents.engines.base_model.load import load, load_tokenizer
from agents.engines.base_model.record import (
    BASE_MODEL,
    BASE_MODELS,
    CHAT_TEMPLATE,
    TRUST_REMOTE_CODE,
    Base,
    BaseModelError,
    BaseModelName,
    Bases,
    DType,
    Scalar,
    VariableName,
)

__all__ = [
    "BASE_MODEL",
    "BASE_MODELS",
    "CHAT_TEMPLATE",
    "EMBEDDED",
    "TRUST_REMOTE_CODE",
    "Base",
    "BaseModelError",
    "BaseModelName",
    "Bases",
    "DType",
    "Scalar",
    "VariableName",
    "check",
    "check_all",
    "check_unchanged",
    "digest",
    "folder_of",
    "identify_bases",
    "load",
    "load_tokenizer",
    "locate",
]
