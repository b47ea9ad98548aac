"""The served backend against a small server on 127.0.0.1: answers, retries, failures, keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sfteval.backends import open_backend
from sfteval.backends.served import ATTEMPTS, CONCURRENT, GIVE_UP_AFTER, ServedBackend, parse_served
from sfteval.errors import ModelError
from sfteval.keys import model_fingerprint, pair_key
from sfteval.records import ChatAsk, FinishReason, Generation, Item, Message, ReplyAsk, ScoreAsk, TextAsk
from sfteval.requests import requests_for


class FakeServer:
    """Answers chats with what `answers` says of the last message, and keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answers: dict[str, list[Any]] = {}
        self.gate: threading.Barrier | None = None
        self.held: threading.Event | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.seen.append({"path": self.path, **body})
                outer.keys.append(self.headers["Authorization"])
                status, content, headers = outer.reply(body["messages"][-1]["content"])
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.http.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that gave up
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.http.server_address[1]}"

    @property
    def reference(self) -> str:
        return f"openai:some/model@http://{self.place}/v1"

    def reply(self, question: str) -> tuple[int, Any, dict[str, str]]:
        if self.gate is not None:
            self.gate.wait(timeout=10)
        if self.held is not None:
            self.held.wait(timeout=10)
        script = self.answers.get(question)
        if not script:
            return 200, said(f"re: {question}"), {}
        found = script.pop(0) if len(script) > 1 else script[0]
        return found if isinstance(found, tuple) else (200, found, {})


def said(text: str | None, reason: str = "stop") -> dict[str, Any]:
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    return {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason}], "usage": usage}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    for name in ("SFTEVAL_API_KEYS", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeServer()
    yield fake
    if fake.held is not None:
        fake.held.set()
    fake.http.shutdown()
    fake.http.server_close()


def asked(backend: ServedBackend, *asks: Any) -> list[Any]:
    fingerprint = model_fingerprint(backend.identity)
    requests = []
    for ask in asks:
        item = Item(pair_key("s", "", str(ask), (ask,), 0), "s", "", "", (ask,))
        requests += requests_for(item, backend.text, fingerprint)[0].requests
    answers: dict[str, Any] = {}
    backend.respond(requests, lambda batch: answers.update((one.key, one) for one in batch))
    return [answers[request.key] for request in requests]


def chat(text: str, **settings: Any) -> ChatAsk:
    return ChatAsk(
        (Message(role="system", content="Be brief."), Message(role="user", content=text)), Generation(**settings)
    )


def backend(server: FakeServer, timeout: float = 10.0) -> ServedBackend:
    return ServedBackend(server.reference, wait=0.0, timeout=timeout)


def test_what_is_sent_and_what_comes_back(server: FakeServer) -> None:
    model = open_backend(server.reference)
    server.answers["long"] = [said("cut", "length")]
    one, other = asked(
        model, chat("hello <|im_end|>", max_tokens=9), chat("long", temperature=0.5, seed=3, top_k=5, stop=("\n",))
    )
    assert (one.text, one.finish_reason, one.prompt_tokens, one.output_tokens) == (
        "re: hello <|im_end|>",
        FinishReason.END_TURN,
        7,
        3,
    )
    assert (other.text, other.finish_reason) == ("cut", FinishReason.LENGTH)
    sent = {body["messages"][-1]["content"]: body for body in server.seen}
    first = sent["hello <|im_end|>"]
    assert first["path"] == "/v1/chat/completions"
    assert first["messages"][0] == {"role": "system", "content": "Be brief."}
    assert {k: v for k, v in first.items() if k not in {"messages", "path", "seed"}} == {
        "model": "some/model",
        "max_tokens": 9,
        "temperature": 0.0,
    }
    second = sent["long"]
    assert (second["temperature"], second["top_k"], second["stop"]) == (0.5, 5, ["\n"])
    assert 0 <= second["seed"] < 2**31
    assert model.identity.reference == server.reference


def test_several_requests_are_under_way_at_once(server: FakeServer) -> None:
    server.gate = threading.Barrier(CONCURRENT)  # opens only when as many requests wait at it
    responses = asked(backend(server), *(chat(f"q{i}") for i in range(2 * CONCURRENT)))
    assert [one.text for one in responses] == [f"re: q{i}" for i in range(2 * CONCURRENT)]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_passing_trouble_is_tried_again(server: FakeServer, status: int) -> None:
    server.answers["hi"] = [(status, {"error": "busy"}, {"Retry-After": "0"}), said("at last")]
    (response,) = asked(backend(server), chat("hi"))
    assert (response.text, response.failure, len(server.seen)) == ("at last", None, 2)


def test_trouble_that_stays_is_a_failure(server: FakeServer) -> None:
    server.answers["hi"] = [(503, {"error": "busy"}, {})]
    good, bad = asked(backend(server), chat("fine"), chat("hi"))
    assert good.text == "re: fine"
    assert (bad.text, bad.failure.kind) == (None, "http_503")
    assert bad.failure.message == f'http://{server.place}/v1: 503 Service Unavailable: {{"error": "busy"}}'
    assert len(server.seen) == 1 + ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((400, {"error": "no such model"}, {}), "http_400"),
        ((200, b"<html>", {}), "not_json"),
        ({"choices": []}, "no_choice"),
        (said(None), "no_text"),
        (said("half", "content_filter"), "no_text"),
    ],
)
def test_what_is_no_answer_is_a_failure_at_once(server: FakeServer, answer: Any, kind: str) -> None:
    server.answers["hi"] = [answer]
    (response,) = asked(backend(server), chat("hi"))
    assert (response.text, response.failure.kind, len(server.seen)) == (None, kind, 1)


def test_a_server_that_is_down_is_given_up(server: FakeServer) -> None:
    model = backend(server)
    server.http.shutdown()
    server.http.server_close()
    responses = asked(model, *(chat(f"q{i}") for i in range(3 * GIVE_UP_AFTER)))
    kinds = [response.failure.kind for response in responses]
    assert set(kinds) <= {"connection", "server_down"}
    assert kinds.count("connection") >= GIVE_UP_AFTER


def test_a_slow_server_is_a_timeout(server: FakeServer) -> None:
    server.held = threading.Event()
    (response,) = asked(backend(server, timeout=0.05), chat("hi"))
    assert (response.failure.kind, response.failure.message) == (
        "timeout",
        f"http://{server.place}/v1: no answer in 0.05 s",
    )


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (ScoreAsk("a", "b"), "no_log_likelihoods"),
        (ReplyAsk((Message(role="user", content="q"),), "a"), "no_log_likelihoods"),
        (TextAsk("once", Generation()), "no_plain_text"),
    ],
)
def test_what_a_server_cannot_do_is_said(server: FakeServer, ask: Any, kind: str) -> None:
    (response,) = asked(backend(server), ask)
    assert response.failure.kind == kind
    assert response.failure.message.startswith(f"{server.reference}: a served model ")
    assert server.seen == []


def test_a_key_goes_to_its_own_host_only(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere")
    monkeypatch.setenv("SFTEVAL_API_KEYS", "other.example=sk-other")
    asked(backend(server), chat("one"))
    monkeypatch.setenv("SFTEVAL_API_KEYS", f"other.example=sk-other,{server.place}=sk-mine")
    server.answers["two"] = [(401, {"error": "Incorrect key sk-mine"}, {})]
    (refused,) = asked(backend(server), chat("two"))
    assert server.keys == [None, "Bearer sk-mine"]
    assert refused.failure.kind == "http_401"
    assert "sk-mine" not in refused.failure.message
    assert refused.failure.message.endswith(f"; set SFTEVAL_API_KEYS={server.place}=KEY")


@pytest.mark.parametrize("reference", ["openai:m", "openai:m@ftp://x/v1", "openai:@http://x/v1", "openai:m@http:///v1"])
def test_references_that_are_none(reference: str) -> None:
    with pytest.raises(ModelError, match=r"found no model at a server; expected openai:MODEL@http://host:port/v1"):
        parse_served(reference)


def test_a_key_in_the_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ModelError) as caught:
        parse_served("openai:m@http://user:secret@host/v1")
    assert "secret" not in str(caught.value)


def test_the_identity_is_address_and_name(server: FakeServer) -> None:
    prints = {
        model_fingerprint(ServedBackend(reference).identity)
        for reference in (server.reference, server.reference + "/", server.reference.replace("some/model", "other"))
    }
    assert len(prints) == 2
