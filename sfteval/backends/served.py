"""A model behind an OpenAI-compatible server: `openai:MODEL@http://host:port/v1`.

Comes in: requests whose prompt is a chat. Goes out: responses of `POST /chat/completions`, several at a time, with
retries and backoff on 429, 5xx and broken connections. What cannot be answered is a `BackendFailure`, never a text.

- Served models are known by name: a server that changes what is behind a name is not noticed, so name versions apart.
- Such servers do not say how likely a given text is: every score comes back as the failure `no_log_likelihoods`.
- A key is sent only to the host that it was given for: `SFTEVAL_API_KEYS=host:port=key,…` (and `OPENAI_API_KEY` to
  api.openai.com). It is never stored, shown or logged.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sfteval.backends.bytes_text import ByteTokenization
from sfteval.errors import Fault, ModelError
from sfteval.keys import content_key
from sfteval.records import BackendFailure, FinishReason, Generate, Generation, ModelIdentity, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx2

    from sfteval.protocols import OnBatch, Tokenization
    from sfteval.records import Message, Request

NUMERICS = "served-1"
PREFIX = "openai:"
FORM = "openai:MODEL@http://host:port/v1"
KEYS, OPENAI_KEY, OPENAI_HOST = "SFTEVAL_API_KEYS", "OPENAI_API_KEY", "api.openai.com"
CONCURRENT = 8
ATTEMPTS = 5
TIMEOUT_SECONDS = 120.0
BACKOFF_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
GIVE_UP_AFTER = 8
"""Requests in a row, none answered, after which a server counts as down and the rest are not sent."""
CHAT = "chat:"
SHOWN = 300
PLAIN = Generation()


def parse_served(reference: str) -> tuple[str, str]:
    """Return (model, base URL) of `openai:MODEL@URL`. Raises ModelError for anything else."""
    model, _, rest = reference.removeprefix(PREFIX).partition("@http")
    url = f"http{rest}"
    parts = urlsplit(url)
    fine = parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.fragment)
    if not model or not fine:
        raise ModelError(Fault(reference, "no model at a server", FORM))
    if parts.username or parts.password:
        advice = f"Take it out of the address and set {KEYS}={parts.hostname}=KEY."
        raise ModelError(Fault(f"{PREFIX}{model}@…", "a user or key in the address", FORM, advice))
    return model, url.rstrip("/")


def key_for(url: str) -> str | None:
    """Return the key that the environment holds for this server's host, None without one."""
    place = urlsplit(url)
    for entry in os.environ.get(KEYS, "").split(","):
        host, found, key = entry.strip().partition("=")
        if found and host in {place.netloc, place.hostname}:
            return key
    return os.environ.get(OPENAI_KEY) if place.hostname == OPENAI_HOST else None


class ChatTokenization(ByteTokenization):
    """Chats as the bytes of their JSON, so that a request's key says which messages were answered."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return the messages as JSON; the server has the template."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        return CHAT + json.dumps(turns, ensure_ascii=False)

    def encode_rendered(self, text: str) -> list[int]:
        """Return the bytes: nothing in them is a special token here."""
        return list(text.encode())


class ServedBackend:
    """A model behind an OpenAI-compatible server.

    Attributes:
        identity: Hash of address and name: all that is known of it.
        text: Tokenization whose ids are bytes.
        template: None: the server renders chats.
    """

    def __init__(self, reference: str, *, wait: float = BACKOFF_SECONDS, timeout: float = TIMEOUT_SECONDS) -> None:
        """Read the reference; nothing is sent.

        Args:
            reference: `openai:MODEL@http://host:port/v1`.
            wait: Seconds before the first retry; doubled each time.
            timeout: Seconds that one attempt may take.

        Raises:
            ModelError: the reference is none.
        """
        self._model, self._url = parse_served(reference)
        self._wait = wait
        self._timeout = timeout
        self._unanswered = 0
        self._lock = threading.Lock()
        self.text: Tokenization = ChatTokenization(max_length=100_000_000)
        self.template: str | None = None
        name = content_key("served", self._url, self._model)
        self.identity = ModelIdentity(reference, name, "", content_key("chat-bytes-1"), "", NUMERICS)

    def respond(self, requests: Sequence[Request], on_batch: OnBatch) -> None:
        """Answer every request once, several at a time, each handed over as soon as it is there."""
        import httpx2

        key = key_for(self._url)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx2.Limits(max_connections=CONCURRENT)
        self._unanswered = 0
        with (
            httpx2.Client(timeout=self._timeout, headers=headers, limits=limits) as client,
            ThreadPoolExecutor(CONCURRENT) as pool,
        ):
            waiting = [pool.submit(self._answer, request, client) for request in requests]
            try:
                for done in as_completed(waiting):
                    on_batch([done.result()])
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def close(self) -> None:
        """Do nothing: there are no weights."""

    def _answer(self, request: Request, client: httpx2.Client) -> Response:
        if not isinstance(request, Generate):
            message = f"{self.identity.reference}: a served model writes texts and scores none; name its files instead"
            return Response(request.key, failure=BackendFailure("no_log_likelihoods", message))
        prompt = self.text.decode(request.prompt)
        if not prompt.startswith(CHAT):
            message = f"{self.identity.reference}: a served model answers chats and continues no plain text"
            return Response(request.key, failure=BackendFailure("no_plain_text", message))
        found = self._ask(self._body(json.loads(prompt.removeprefix(CHAT)), request), client)
        if isinstance(found, BackendFailure):
            return Response(request.key, failure=found)
        return _response(request, found)

    def _body(self, messages: list[dict[str, str]], request: Generate) -> dict[str, Any]:
        """Return what is sent; settings outside the protocol only where they are not the default."""
        settings = request.generation
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages,
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "seed": request.seed & 0x7FFFFFFF,
        }
        body |= {"stop": list(settings.stop)} if settings.stop else {}
        rest = ("top_p", "top_k", "min_tokens", "repetition_penalty")
        return body | {
            name: getattr(settings, name) for name in rest if getattr(settings, name) != getattr(PLAIN, name)
        }

    def _ask(self, body: dict[str, Any], client: httpx2.Client) -> dict[str, Any] | BackendFailure:
        """Send until there is an answer, an error that stays, or no attempt left."""
        failure = BackendFailure(
            "server_down", f"{self._url}: not sent: {GIVE_UP_AFTER} requests before went unanswered"
        )
        for attempt in range(ATTEMPTS):
            if self._unanswered >= GIVE_UP_AFTER:
                return failure
            found, pause = self._attempt(body, client)
            if not isinstance(found, BackendFailure):
                with self._lock:
                    self._unanswered = 0
                return found
            failure = found
            if pause is None:
                return failure
            if attempt < ATTEMPTS - 1:
                time.sleep(min(max(pause, self._wait * 2**attempt * (1 + random.random() / 4)), LONGEST_WAIT_SECONDS))
        with self._lock:
            self._unanswered += 1
        return failure

    def _attempt(
        self, body: dict[str, Any], client: httpx2.Client
    ) -> tuple[dict[str, Any] | BackendFailure, float | None]:
        """Return (answer, None), or a failure and the seconds to wait at least; None: do not try again."""
        import httpx2

        try:
            reply = client.post(f"{self._url}/chat/completions", json=body)
        except httpx2.TimeoutException:
            return BackendFailure("timeout", f"{self._url}: no answer in {self._timeout:g} s"), 0.0
        except httpx2.HTTPError as error:
            return BackendFailure("connection", f"{self._url}: {type(error).__name__}: {error}"), 0.0
        if reply.status_code == 429 or reply.status_code >= 500:
            return self._refused(reply), _retry_after(reply)
        if not reply.is_success:
            return self._refused(reply), None
        try:
            answer = reply.json()
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            return answer, None
        return BackendFailure("not_json", f"{self._url}: {reply.text[:SHOWN]!r} instead of a JSON object"), None

    def _refused(self, reply: httpx2.Response) -> BackendFailure:
        advice = f"; set {KEYS}={urlsplit(self._url).netloc}=KEY" if reply.status_code in {401, 403} else ""
        key = key_for(self._url)
        text = reply.text.replace(key, "(key)") if key else reply.text
        message = f"{self._url}: {reply.status_code} {reply.reason_phrase}: {text[:SHOWN]}{advice}"
        return BackendFailure(f"http_{reply.status_code}", message)


def _retry_after(reply: httpx2.Response) -> float:
    try:
        return max(0.0, float(reply.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0


def _response(request: Generate, answer: dict[str, Any]) -> Response:
    """Return a completion as a response; a choice without text is a failure."""
    try:
        choice = answer["choices"][0]
        text, reason = choice["message"]["content"], choice.get("finish_reason")
    except (KeyError, IndexError, TypeError, AttributeError):
        failure = BackendFailure("no_choice", f"an answer without choices: {json.dumps(answer)[:SHOWN]}")
        return Response(request.key, failure=failure)
    if not isinstance(text, str) or reason not in _REASONS:
        return Response(request.key, failure=BackendFailure("no_text", f"no text; the server's reason: {reason}"))
    usage = answer.get("usage") if isinstance(answer.get("usage"), dict) else {}
    stopped = reason == "stop" and request.generation.stop and isinstance(choice.get("stop_reason"), str)
    return Response(
        request.key,
        text=text,
        finish_reason=FinishReason.STOP if stopped else _REASONS[reason],
        prompt_tokens=_count(usage, "prompt_tokens"),
        output_tokens=_count(usage, "completion_tokens"),
    )


def _count(usage: Any, name: str) -> int:
    value = usage.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


_REASONS = {"stop": FinishReason.END_TURN, "length": FinishReason.LENGTH}
