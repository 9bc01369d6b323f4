"""The beam search of the ONNX models against `generate` of transformers, on a random BART."""

import numpy as np
import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration

from models.backends.onnx.beam_search import DecodingRules, search

START, BEGIN, END, LONGEST = 2, 0, 2, 14


@pytest.fixture(scope="module")
def bart() -> BartForConditionalGeneration:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=40,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        max_position_embeddings=64,
        init_std=1.0,
    )
    bart = BartForConditionalGeneration(config).eval()
    bart.final_logits_bias[0, END] = 8.0  # so that answers end at different places
    return bart


class Recomputing:
    """A decoder without a cache: it runs the whole sequences again at each step."""

    def __init__(self, bart: BartForConditionalGeneration, ids: torch.Tensor) -> None:
        self.bart, self.ids = bart, ids
        self.sequences = torch.zeros((1, 0), dtype=torch.long)

    def step(self, tokens: np.ndarray, parents: np.ndarray) -> np.ndarray:
        newest = torch.from_numpy(tokens)[:, None]
        self.sequences = torch.cat([self.sequences[torch.from_numpy(parents)], newest], dim=1)
        with torch.no_grad():
            logits = self.bart(
                input_ids=self.ids.repeat(len(tokens), 1),
                decoder_input_ids=self.sequences,
                use_cache=False,
            ).logits
        return np.asarray(logits[:, -1].numpy(), np.float32)


@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("no_repeat", [0, 3])
def test_the_tokens_are_those_of_transformers(
    bart: BartForConditionalGeneration, beams: int, no_repeat: int
) -> None:
    lengths = set()
    for seed in range(12):
        ids = torch.from_numpy(np.random.default_rng(seed).integers(3, 40, (1, 6)))
        expected = bart.generate(
            ids,
            num_beams=beams,
            no_repeat_ngram_size=no_repeat,
            forced_bos_token_id=BEGIN,
            forced_eos_token_id=END,
            decoder_start_token_id=START,
            eos_token_id=END,
            early_stopping=beams > 1,
            max_new_tokens=LONGEST,
            max_length=None,
            do_sample=False,
        )[0].tolist()
        rules = DecodingRules(START, BEGIN, END, beams, LONGEST, no_repeat)
        found = search(Recomputing(bart, ids), rules)
        assert [START, *found, END] == expected
        lengths.add(len(found))
    assert len(lengths) > 2
