"""A byte tokenizer of Qwen's class with its special tokens and chat template, for tiny models."""

from typing import Any

from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from transformers import Qwen2TokenizerFast

_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_PLAIN = ("<think>", "</think>")
"""Tokens of Qwen3 that its tokenizer does not count as special."""
VOCABULARY_SIZE = 256 + len(_SPECIAL) + len(_PLAIN)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% if enable_thinking is defined and enable_thinking is false %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
"""What the template of Qwen3-4B makes of plain messages; without thinking, it adds an empty thought."""


def tokenizer() -> Any:
    """Return a tokenizer with a token for each byte, numbered in the order of `ByteLevel.alphabet`.

    The added tokens follow, from 256 on.
    """
    letters = sorted(ByteLevel.alphabet())
    kind: Any = Qwen2TokenizerFast  # untyped
    made = kind(
        vocab={letter: number for number, letter in enumerate(letters)},
        merges=[],
        eos_token=AddedToken("<|im_end|>", special=True, normalized=False),
        pad_token=AddedToken("<|endoftext|>", special=True, normalized=False),
        model_max_length=131_072,
        chat_template=CHAT_TEMPLATE,
        padding_side="right",
    )
    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in _SPECIAL])
    made.add_tokens([AddedToken(token, special=False, normalized=False) for token in _PLAIN])
    return made
