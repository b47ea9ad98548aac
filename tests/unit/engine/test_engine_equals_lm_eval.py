"""The engine's scores against lm-eval's own `HFLM` on the same token ids, at batch size 1 and 8."""

from __future__ import annotations

import random
import warnings

import pytest
from engine_cases import VOCABULARY, answer, make, scores
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from sfteval.records import Score


def word_tokenizer() -> PreTrainedTokenizerFast:
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(VOCABULARY)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2", pad_token="w0")


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mamba"])
@pytest.mark.parametrize("batch_size", [1, 8])
def test_log_likelihoods_and_greedy_flags(name, batch_size):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        huggingface = pytest.importorskip("lm_eval.models.huggingface")
        model = make(name)
        theirs = huggingface.HFLM(
            pretrained=model, tokenizer=word_tokenizer(), batch_size=batch_size, max_length=40, device="cpu"
        )
        requests = [*scores(21), *choices(22)]
        expected = theirs._loglikelihood_tokens(
            [(("", ""), list(r.prefix), list(r.continuation)) for r in requests], disable_tqdm=True
        )
    got, stats = answer(model, requests, 64, max_length=40)
    assert stats.truncated > 0
    for request, (loglikelihood, greedy) in zip(requests, expected, strict=True):
        assert got[request.key].loglikelihood == pytest.approx(loglikelihood, rel=1e-4)
        assert got[request.key].is_greedy == greedy


def choices(seed: int) -> list[Score]:
    """Few-shot multiple choice: one long prefix, one-token and longer choices."""
    rng = random.Random(seed)
    shots = tuple(rng.randrange(VOCABULARY) for _ in range(25))
    found = []
    for document in range(5):
        prefix = shots + tuple(rng.randrange(VOCABULARY) for _ in range(rng.randrange(3, 20)))
        for choice in range(3):
            continuation = tuple(rng.randrange(VOCABULARY) for _ in range(rng.randrange(1, 4)))
            found.append(Score(f"{document}-{choice}", prefix, continuation))
    return found
