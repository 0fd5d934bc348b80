"""Whether the chat templates of base models have a place for a system prompt."""

from collections.abc import Iterable, Sequence

from agents.debate.prompts import Prompts
from agents.engines.base_model import BaseModelError, Scalar, load_tokenizer


def check_system_role(
    prompts: Prompts,
    base_models: Sequence[str],
    trust_remote_code: bool,
    chat_template: Iterable[tuple[str, Scalar]] = (),
) -> None:
    """Refuse a system prompt that a base model's chat template rejects or leaves out, before any weights are loaded.

    Args:
        prompts: the prompts of the society; without a system prompt, nothing is checked.
        base_models: the names of its base models.
        trust_remote_code: whether a tokenizer may run its own code.
        chat_template: values of variables of the chat templates.

    Raises:
        BaseModelError: the message names prompts.system, the base model and what would be right.
    """
    if prompts.system is None:
        return
    from jinja2 import TemplateError

    asked = [{"role": "system", "content": prompts.system}, {"role": "user", "content": "?"}]
    for name in dict.fromkeys(base_models):
        tokenizer = load_tokenizer(name, trust_remote_code, chat_template, weights=False)
        try:
            read = tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            raise _refused(name, f"refuses it ({' '.join(str(error).split())})") from error
        if prompts.system.strip() not in read:
            raise _refused(name, "leaves it out")


def _refused(name: str, why: str) -> BaseModelError:
    return BaseModelError(
        f"prompts.system is set, but the chat template of the base model {name!r} {why}; leave prompts.system out and "
        "put its text into prompts.solve, or use a base model whose chat template has a system role"
    )
