"""A caller's words for a text encoder with a chat template: literal, and not longer than it can read."""

import logging
import re
from typing import Any

log = logging.getLogger("retouch.prompt")


def literal_text(tokenizer: Any, text: str, limit: int) -> str:
    """Return a caller's text without the tokenizer's added tokens, at most `limit` tokens long.

    Added tokens, such as `<|im_end|>` and `<|image_pad|>`, would end the caller's turn in the
    template or stand for a picture: a space breaks them up. The end of a longer text is cut; the
    log tells how much.
    """
    added = [token for token in tokenizer.get_added_vocab() if len(token) > 1]
    if added:
        longest_first = sorted(map(re.escape, added), key=len, reverse=True)
        text = re.sub("|".join(longest_first), lambda found: _broken(found[0]), text)
    starts = _token_starts(tokenizer, text)
    if len(starts) > limit:
        log.warning("a prompt of %d tokens is cut to %d", len(starts), limit)
    while len(starts) > limit:  # a part of a text can have other tokens than the whole
        text = text[: starts[limit]].rstrip()
        starts = _token_starts(tokenizer, text)
    return text


def _broken(token: str) -> str:
    return f"{token[0]} {token[1:]}"


def _token_starts(tokenizer: Any, text: str) -> list[int]:
    """Return where each token of a text starts, in characters."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    return [start for start, _ in encoded["offset_mapping"]]
