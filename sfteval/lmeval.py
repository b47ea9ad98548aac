"""The engine as an lm-eval model: `import sfteval.lmeval`, then `lm_eval.simple_evaluate(model="sfteval", …)`. Rank 4.

Comes in: lm-eval's requests. Goes out: what `model="hf"` would have answered (log-likelihoods to 1e-4, the same greedy
flags and texts), each distinct token computed once. Loading, tokenization, chat templates and model arguments are those
of lm-eval's own `HFLM`, whose subclass this is; `batch_size` is accepted and has no effect, since the engine packs by
tokens. Weights are safetensors only.

lm-eval's `--use_cache` files answers under the prompt alone, so that another model gets them (lm-eval #4063, #2715);
here they are filed under the hash of all that the answers depend on as well: weights, adapter, settings, tokenizer.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from sfteval.backends.identity import NUMERICS, VOLATILE
from sfteval.backends.tokenization import special_ids
from sfteval.engine import Engine, ModelLimits
from sfteval.errors import EngineError, Fault, InputError
from sfteval.keys import content_key
from sfteval.records import Generate, Score
from sfteval.tasks.asks import generation, unsupported_settings
from sfteval.tasks.recommended import recommended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lm_eval.api.instance import Instance
    from lm_eval.api.model import CacheHook

    from sfteval.records import Generation, Request, Response

    Keep = Callable[[int, Response], None]

NAME = "sfteval"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
Encoded = tuple[tuple[str, str] | None, list[int], list[int]]

_log = logging.getLogger(__name__)


@register_model(NAME)
class SftevalLM(HFLM):  # type: ignore[misc]  # lm-eval is untyped
    """lm-eval's Hugging Face model, answered by the engine.

    Raises:
        InputError: an argument of `HFLM` that would change how answers are computed; weights that are no safetensors.
        EngineError: a request that cannot be answered; lm-eval has no place for one failed sample.
    """

    _REFUSED: ClassVar[dict[str, str]] = {
        "parallelize": "one device",
        "tp_plan": "one device",
        "mixed_precision_dtype": "the weights' own dtype",
        "softmax_dtype": "float32, which the engine always takes",
        "delta": "a checkpoint or an adapter",
        "autogptq": "weights in safetensors",
        "gptqmodel": "weights in safetensors",
        "trust_remote_code": "a model that transformers knows: no code of a checkpoint is run",
    }

    def __init__(self, pretrained: Any, backend: str = "default", **kwargs: Any) -> None:
        for name, expected in self._REFUSED.items():
            if kwargs.get(name):
                raise InputError(Fault(f"model_args {name}", repr(kwargs[name]), expected))
        if isinstance(kwargs.get("think_end_token"), int):
            raise InputError(Fault("model_args think_end_token", "a token id", "the token's text"))
        _refuse_pickled_adapter(kwargs.get("peft"))
        if isinstance(pretrained, str) and not kwargs.get("gguf_file"):
            kwargs.setdefault("use_safetensors", True)
        super().__init__(pretrained=pretrained, backend=backend, **kwargs)
        if self.backend != "causal":
            raise InputError(Fault("model_args pretrained", f"a {self.backend} model", "a causal language model"))
        self._engine: Engine | None = None

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of whole texts; all windows of all texts are one job."""
        windows = [self._windows(text) for (text,) in (request.args for request in requests)]
        scored = self._loglikelihood_tokens([w for each in windows for w in each], disable_tqdm=disable_tqdm)
        left = iter(scored)
        totals = [sum(next(left)[0] for _ in each) for each in windows]
        for request, total in zip(requests, totals, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, total)
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Return the generated texts, cut at the first stop sequence."""
        eos = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        asked = self._seeded(requests, [self._generation(request.args[1], eos) for request in requests])

        def text_of(number: int, response: Response) -> str:
            stops = list(asked[number].generation.stop)
            text: str = postprocess_generated_text(response.text or "", stops, self.think_end_token)
            return text

        def keep(number: int, response: Response) -> None:
            self.cache_hook.add_partial("generate_until", requests[number].args, text_of(number, response))

        return [text_of(n, response) for n, response in enumerate(self._answers(asked, disable_tqdm, keep))]

    def set_cache_hook(self, cache_hook: CacheHook) -> None:
        """File lm-eval's cached answers under a hash of what they depend on: another model's are not found."""
        answers = cache_hook.dbdict
        if answers is not None:
            answers.tablename = f"model_{self._fingerprint()}"
            answers.conn.execute(f'CREATE TABLE IF NOT EXISTS "{answers.tablename}" (key TEXT PRIMARY KEY, value BLOB)')
            answers.conn.commit()
        super().set_cache_hook(cache_hook)

    def _loglikelihood_tokens(
        self, requests: Sequence[Encoded], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Return (log-likelihood, is greedy) of each continuation."""
        del override_bs
        asked = [Score(str(number), tuple(c), tuple(t)) for number, (_, c, t) in enumerate(requests)]

        def keep(number: int, response: Response) -> None:
            if (texts := requests[number][0]) is not None:
                self.cache_hook.add_partial("loglikelihood", texts, _scored(response))

        return [_scored(response) for response in self._answers(asked, disable_tqdm, keep)]

    def _windows(self, text: str) -> list[Encoded]:
        windows: Iterator[tuple[list[int], list[int]]] = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [(None, *make_disjoint_window(window)) for window in windows]

    def _prompt(self, text: str) -> tuple[int, ...]:
        """Return the ids of a prompt as `HFLM.tok_batch_encode` makes them; of an empty one the prefix token."""
        rows, _ = self.tok_batch_encode([text], truncation=self.truncation)
        return tuple(rows[0].tolist()) or (self.prefix_token_id,)

    def _seeded(self, requests: Sequence[Instance], settings: Sequence[Generation]) -> list[Generate]:
        """Return the generations, each with a seed of its task, prompt and repeat: no order, limit or rank in it."""
        repeats: Counter[tuple[Any, ...]] = Counter()
        asked = []
        for number, (request, one) in enumerate(zip(requests, settings, strict=True)):
            prompt = self._prompt(request.args[0])
            repeat = repeats[request.task_name, prompt]
            repeats[request.task_name, prompt] += 1
            seed = int(content_key(one.seed, request.task_name, list(prompt), repeat)[:8], 16)
            asked.append(Generate(str(number), prompt, one, seed))
        return asked

    def _generation(self, given: dict[str, Any], eos: str) -> Generation:
        """Return settings as `HFLM` reads them: the request's, then those of the model's generation config.

        Raises:
            InputError: a setting of either that the engine does not know, or a value that it cannot have.
        """
        kwargs = normalize_gen_kwargs(given, self.max_gen_toks)
        kwargs["until"] = handle_stop_sequences(kwargs.get("until"), eos=eos)
        if others := unsupported_settings(kwargs):
            raise InputError(Fault("gen_kwargs", ", ".join(others), "settings that the engine knows"))
        for name, value in recommended(self.model.generation_config, sampling=bool(kwargs.get("temperature"))).items():
            kwargs.setdefault(name, value)
        return generation(kwargs, int(kwargs.get("seed") or 0), "gen_kwargs")

    def _answers(self, requests: Sequence[Request], silent: bool, keep: Keep) -> list[Response]:
        """Return the responses in order of the requests; `keep` gets each one as soon as it is there."""
        found: dict[str, Response] = {}
        with tqdm(total=len(requests), disable=silent or self.rank != 0, desc="Running sfteval requests") as bar:

            def on_batch(batch: Sequence[Response]) -> None:
                for response in batch:
                    if response.failure is not None:
                        msg = f"request {response.key}: {response.failure.kind}: {response.failure.message}"
                        raise EngineError(msg)
                    keep(int(response.key), response)
                found.update((response.key, response) for response in batch)
                bar.update(len(batch))

            if requests:
                stats = self._running_engine().run(requests, on_batch)
                if stats.truncated:
                    cut = f"{stats.truncated} of {stats.requests} requests were cut from the left"
                    _log.warning("%s to fit the model's %s tokens", cut, self.max_length)
        return [found[request.key] for request in requests]

    def _running_engine(self) -> Engine:
        if self._engine is None:
            config = self.model.generation_config
            ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
            stops = frozenset(end for end in (*ends, self.eot_token_id) if end is not None)
            limits = ModelLimits(len(self.tokenizer), self.max_length, stops, special=special_ids(self.tokenizer))
            self._engine = Engine(self.model, limits=limits, decode=lambda ids: self.tok_decode(list(ids)))
        return self._engine

    def _fingerprint(self) -> str:
        """Return the hash of what answers depend on beside the request: 32 hex digits."""
        digest = hashlib.sha256()
        for name, tensor in self.model.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
        digest.update(json.dumps(self._settings(), sort_keys=True, default=_plain).encode())
        return digest.hexdigest()[:32]

    def _settings(self) -> dict[str, Any]:
        """Return what makes other answers of the same weights; where the files lie is left out."""
        adapters = getattr(self.model, "peft_config", {})
        names = ("max_length", "prefix_token_id", "add_bos_token", "think_end_token", "truncation")
        return {
            "config": _lasting(self.model.config, "config.json"),
            "generation": _lasting(self.model.generation_config, "generation_config.json"),
            "adapters": {name: _lasting(one, "adapter_config.json") for name, one in adapters.items()},
            "tokenizer": _tokenizer(self.tokenizer),
            "numerics": NUMERICS,
            **{name: getattr(self, name) for name in names},
        }


def _refuse_pickled_adapter(peft: str | None) -> None:
    folder = Path(peft) if peft else None
    if folder is not None and folder.is_dir() and not (folder / ADAPTER_WEIGHTS).exists():
        raise InputError(Fault(str(folder), f"no {ADAPTER_WEIGHTS}", "adapter weights in safetensors"))


def _scored(response: Response) -> tuple[float, bool]:
    assert response.loglikelihood is not None
    return response.loglikelihood, bool(response.is_greedy)


def _lasting(config: Any, file: str) -> dict[str, Any]:
    return {str(name): value for name, value in config.to_dict().items() if name not in VOLATILE[file]}


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _tokenizer(tokenizer: Any) -> Any:
    """Return all that a tokenizer does to text; the padding that calls leave behind is none of it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return sorted(tokenizer.get_vocab().items())
    return json.loads(backend.to_str()) | {"padding": None, "truncation": None}


def run_command() -> None:
    """Run lm-eval's own command line on `sys.argv`."""
    from lm_eval.__main__ import cli_evaluate

    cli_evaluate()
