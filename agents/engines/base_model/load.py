"""Loads the model and the tokenizer of a base model."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from agents.engines.base_model.chat_template import read_template, with_variables
from agents.engines.base_model.check import check, check_token_ids
from agents.engines.base_model.files import folder_of, locate
from agents.engines.base_model.nf4 import check_installed, is_quantized, keep_exact, quantization
from agents.engines.base_model.record import BaseModelError, DType, FilesError, Scalar
from agents.engines.base_model.room import check_room

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_NAMED = 3
"""Weights that a message names."""


def load(
    base_model: str,
    device: str,
    trust_remote_code: bool = False,
    *,
    dtype: DType = "auto",
    chat_template: Iterable[tuple[str, Scalar]] = (),
) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """Load model and tokenizer. Safetensors only.

    Args:
        base_model: the name of the base model, see `Base.source`.
        device: auto (CUDA if there is a GPU, else cpu), cpu, cuda or cuda:N.
        trust_remote_code: whether the model may run its own code.
        dtype: the type of the weights; auto: float32 on a CPU, the checkpoint's own type on CUDA; nf4: four bits.
        chat_template: values of variables of the chat template, which the tokenizer's template then has.

    Raises:
        BaseModelError: see `check`; or the weights do not fit into memory, or are not the whole model.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check(base_model)
    folder = folder_of(base_model)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"
    if dtype == "nf4":
        check_installed()
    check_room(base_model, folder, device, dtype)
    tokenizer = load_tokenizer(base_model, trust_remote_code, chat_template)
    with _errors_named(base_model):
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder),
            use_safetensors=True,
            **_numbers(dtype, device),
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # They are refused here, by name.
        )
        model, found = loaded
        _check_whole(found)
        check_token_ids(max(tokenizer.get_vocab().values()), len(model.get_input_embeddings().weight))
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Adapters record this name as their base, so it is the configured name, not a folder of this machine.
    model.name_or_path = base_model if locate(base_model) else base_model.partition("@")[0]
    if is_quantized(model):
        keep_exact(model)
    else:
        model.to(device)
    return model.eval().requires_grad_(False), tokenizer


def _numbers(dtype: DType, device: str) -> dict[str, Any]:
    """The arguments by which transformers loads weights of this type."""
    if dtype != "nf4":
        return {"dtype": dtype}
    # What is not quantised has the type of the products.
    how = quantization(device)
    return {"quantization_config": how, "dtype": how.bnb_4bit_compute_dtype, "device_map": {"": device}}


def load_tokenizer(
    base_model: str,
    trust_remote_code: bool = False,
    chat_template: Iterable[tuple[str, Scalar]] = (),
    *,
    weights: bool = True,
) -> "PreTrainedTokenizerBase":
    """The tokenizer of a base model; its chat template has the given values of its variables.

    Without `weights`, only the small files of a hub's model are fetched.

    Raises:
        BaseModelError: its files cannot be read.
    """
    from transformers import AutoTokenizer

    folder = folder_of(base_model, weights=weights)
    with _errors_named(base_model):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            str(folder), trust_remote_code=trust_remote_code
        )
        tokenizer.chat_template = with_variables(read_template(folder), chat_template)
    return tokenizer


def _check_whole(found: dict[str, Any]) -> None:
    """Refuse weights that lack layers, which transformers would fill with random numbers."""
    faults = {"lack": found["missing_keys"], "have another shape of": {name for name, *_ in found["mismatched_keys"]}}
    for fault, names in faults.items():
        if names:
            first = sorted(names)[:_NAMED]
            more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
            raise FilesError(
                f"has weights that {fault} {', '.join(first)}{more}; copy or fetch the whole model again, or save "
                "it with the config.json that belongs to them"
            )


@contextmanager
def _errors_named(base_model: str) -> Iterator[None]:
    """Errors of transformers as one line that names the config field; its own reports are not shown."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    except FilesError as error:
        raise BaseModelError(f"base_model: {base_model!r} {error}") from error
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        remedy = "; set trust_remote_code to true if you trust it" if "trust_remote_code" in str(error) else ""
        raise BaseModelError(f"base_model: cannot load {base_model!r}: {lines[0]}{remedy}") from error
    finally:
        logging.set_verbosity(verbosity)
