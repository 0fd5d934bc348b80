"""Examples as token ids: an agent learns the last turn of each of its conversations."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.engines.chat import prompt_ids, turn_end
from agents.engines.response_text import turn_text
from agents.split import Example

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Encoded:
    """One example as token ids: the prompt as inference sends it, then the learned turn with its end."""

    prompt: list[int]
    target: list[int]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.target)


def encode(
    examples: Sequence[Example], tokenizer: "PreTrainedTokenizerBase", finished: Sequence[bool] | None = None
) -> list[Encoded]:
    """Token ids of each example; its prompt has the ids that inference sends.

    Args:
        examples: conversations that end with the turn to learn.
        tokenizer: the tokenizer of the base model, with a chat template.
        finished: whether each of these turns ended by itself; the others get no end. By default, all did.
    """
    if not examples:
        return []
    prompts = prompt_ids(tokenizer, [example[:-1] for example in examples])
    end = turn_end(tokenizer)
    texts = [
        turn_text(tokenizer, example[-1]["content"]) + (end if ended else "")
        for example, ended in zip(examples, finished or [True] * len(examples), strict=True)
    ]
    targets = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [Encoded(prompt, target) for prompt, target in zip(prompts, targets, strict=True)]


def ordered_batches(encoded: Sequence[Encoded], batch_size: int, seed: int) -> list[list[Encoded]]:
    """Batches of examples of similar length, so with little padding, in a seeded order; every example comes once."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    # The sort is stable, so the shuffle puts examples of equal length into different batches in every epoch.
    shuffled = [encoded[place] for place in torch.randperm(len(encoded), generator=generator).tolist()]
    shuffled.sort(key=len)
    batches = [shuffled[start : start + batch_size] for start in range(0, len(shuffled), batch_size)]
    return [batches[place] for place in torch.randperm(len(batches), generator=generator).tolist()]


def padded(batch: Sequence[Encoded]) -> "tuple[torch.Tensor, torch.Tensor]":
    """Right-padded ids and labels, both (B, T); labels are -100 except on target tokens."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(each.prompt + each.target) for each in batch]
    labels = [torch.tensor([-100] * len(each.prompt) + each.target) for each in batch]
    return pad_sequence(ids, batch_first=True), pad_sequence(labels, batch_first=True, padding_value=-100)
