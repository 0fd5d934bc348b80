"""Whether the chat templates of base models have a place for a system prompt."""

from collections.abc import Sequence

from agents.debate.prompts import Prompts
from agents.engines.base_model import BaseModelError, locate


def check_system_role(prompts: Prompts, base_models: Sequence[str], trust_remote_code: bool) -> None:
    """Refuse a system prompt that a base model's chat template rejects or leaves out, before any weights are loaded.

    Args:
        prompts: the prompts of the society; without a system prompt, nothing is checked.
        base_models: the names of its base models.
        trust_remote_code: whether a tokenizer from a hub may run its own code.

    Raises:
        BaseModelError: the message names prompts.system, the base model and what would be right.
    """
    if prompts.system is None:
        return
    # Imported here, since transformers takes seconds to import.
    from jinja2 import TemplateError
    from transformers import AutoTokenizer

    asked = [{"role": "system", "content": prompts.system}, {"role": "user", "content": "?"}]
    for name in dict.fromkeys(base_models):
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(locate(name) or name), trust_remote_code=trust_remote_code)
            read = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        except OSError as error:
            raise BaseModelError(f"base_model: cannot load {name!r}: {str(error).splitlines()[0]}") from error
        except TemplateError as error:
            raise _refused(name, f"refuses it ({' '.join(str(error).split())})") from error
        if prompts.system.strip() not in read:
            raise _refused(name, "leaves it out")


def _refused(name: str, why: str) -> BaseModelError:
    return BaseModelError(
        f"prompts.system is set, but the chat template of the base model {name!r} {why}; leave prompts.system out and "
        "put its text into prompts.solve, or use a base model whose chat template has a system role"
    )
