"""Generate jobs in, responses out: continuous batching over the prefix tree.

Waiting prompts are sorted by length class, then depth first, so that neighbours share prefixes and memory is
predictable. Each turn fills the free slots (only the prompt tokens that the last prompt did not share go through the
body), then adds one token to every row in progress; a row that ends leaves at once. Rows may speak with adapters of
their own (`Row.voice`): a prefill holds rows of one voice, a decoding step rows of all.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import torch

from sfteval.engine import packing, trie
from sfteval.engine.intake import failed
from sfteval.engine.memory import Budget, ran_out
from sfteval.engine.sampling import choose, sound_rows
from sfteval.engine.slots import Slots
from sfteval.engine.tree_attention import Carried, Pair, TreePass, take
from sfteval.engine.trunks import Trunk, find_trunks, held_tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sfteval.engine.figures import Tally
    from sfteval.engine.nonfinite import Suspects
    from sfteval.engine.rows import Row
    from sfteval.engine.wiring import Wiring
    from sfteval.records import Response

MAX_ROWS = 64
# Rows are admitted as if they would say this much more than now; beyond it, memory may call some back.
ROOM_TOKENS = 64
# Where memory runs out at prefill passes this small, keys and values are what does not fit: fewer rows help.
SMALL_PREFILL = 256


class Generator:
    """Generates in continuous batches.

    Args:
        wiring: The model.
        budget: Tokens per prefill pass.
        kv_tokens: Keys and values that may be held, in tokens (slots × capacity).
        joinable: Whether shared prefixes may be held, and attended to, apart.
        tally: Where work is counted.
        suspects: Names the broken layer where logits are not finite.
    """

    def __init__(
        self, wiring: Wiring, budget: Budget, kv_tokens: int, joinable: bool, tally: Tally, suspects: Suspects
    ) -> None:
        self._wiring, self._budget, self._tally, self._suspects = wiring, budget, tally, suspects
        self._kv_tokens, self._joinable, self._max_rows = kv_tokens, joinable, MAX_ROWS
        self._slots = Slots()
        self._active: list[Row] = []
        self._waiting: deque[Row] = deque()
        self._tried = 0
        self._carried, self._carried_tokens, self._carried_voice = Carried(), trie.NO_TOKENS, ""

    def generate(self, rows: Sequence[Row], emit: Callable[[Sequence[Response]], None]) -> None:
        """Answer every row."""
        if self._joinable:
            for voice in {row.voice for row in rows}:
                find_trunks([row for row in rows if row.voice == voice])
        self._waiting = deque(sorted(rows, key=_place))
        while self._waiting or self._active:
            for turn, shrink in ((self._admit, self._smaller_prefill), (self._step, self._fewer_rows)):
                try:
                    done = turn()
                except (RuntimeError, MemoryError) as error:
                    if not ran_out(error):
                        raise
                    done = shrink()
                emit(done)

    def _admit(self) -> list[Response]:
        """Prefill as many waiting rows as there is room for; return those that ended with their first token."""
        wave: list[Row] = []
        self._tried = 0
        longest, trunks = self._slots.longest, self._trunks()
        while self._waiting and len(self._active) + len(wave) < self._max_rows:
            row = self._waiting[0]
            longest, trunks = max(longest, row.own), trunks | {row.trunk}
            rows = len(self._active) + len(wave) + 1
            held = rows * (longest + ROOM_TOKENS) + held_tokens(trunks)
            apart = wave and (row.solo or wave[0].solo or row.voice != wave[0].voice)
            crowded = held > self._kv_tokens or apart
            if rows > 1 and crowded:
                break
            wave.append(self._waiting.popleft())
        return self._prefill(wave) if wave else []

    def _prefill(self, wave: list[Row]) -> list[Response]:
        sequences = [row.tokens() for row in wave]
        if wave[0].solo or wave[0].voice != self._carried_voice:
            self._forget()
        tree = trie.build(sequences, self._carried_tokens)
        self._carried_tokens = trie.NO_TOKENS
        begun: set[int] = set()
        done: list[Response] = []
        start = 0
        try:
            self._slots.reserve(self._slots.count + len(wave), max(row.own for row in wave) + 1)
            while start < len(tree.tokens):
                step = packing.plan(tree, start, self._budget.tokens, self._carried.tokens, export=True)
                logits = self._prefill_pass(tree, step, wave)
                done += self._begin([wave[i] for i in step.exports], logits)
                begun.update(step.exports)
                start = step.stop
        except (RuntimeError, MemoryError):
            self._forget()
            self._waiting.extendleft(wave[i] for i in reversed(range(len(wave))) if i not in begun)
            self._tried = len(wave) - len(begun)
            if not done:
                raise
            return done
        self._tally.tokens_distinct += len(tree.tokens)
        self._carried_tokens, self._carried_voice = sequences[tree.order[-1]], wave[0].voice
        return done

    def _prefill_pass(self, tree: trie.Trie, step: packing.Pass, wave: Sequence[Row]) -> torch.Tensor:
        """Run one pass; return the logits of the sequences that end in it, [sequences, vocabulary]."""
        slots = {sequence: self._slots.count + n for n, sequence in enumerate(step.exports)}
        plan = TreePass(step, self._carried, lambda i, *held: self._store(wave[i], slots[i], *held))
        nodes = slice(step.start, step.stop)
        tokens, depths = torch.from_numpy(tree.tokens[nodes])[None], torch.from_numpy(tree.depths[nodes])[None]
        hidden = self._wiring.hidden(tokens, depths, plan, [wave[0].voice])[0]
        rows = torch.tensor([tree.ends[i] - step.start for i in step.exports], dtype=torch.long)
        logits = self._logits(hidden[rows.to(hidden.device)]) if len(rows) else hidden[:0]
        self._carried = plan.kept
        self._tally.tokens_forwarded += step.stop - step.start
        self._tally.batches += 1
        return logits

    def _store(self, row: Row, slot: int, layer: int, ranges: packing.Ranges, held: Pair) -> None:
        """Keep one layer's keys and values of a prefilled row: the trunk's once, its own in its slot."""
        shared, own = packing.split(ranges, row.trunk.length if row.trunk else 0)
        if row.trunk and layer not in row.trunk.layers:
            row.trunk.layers[layer] = take(held[0], shared).clone(), take(held[1], shared).clone()
        self._slots.write(slot, layer, take(held[0], own), take(held[1], own))

    def _trunks(self) -> set[Trunk | None]:
        return {row.trunk for row in self._active}

    def _begin(self, rows: Sequence[Row], logits: torch.Tensor) -> list[Response]:
        """Put prefilled rows into their slots and take their first token."""
        if not rows:
            return []
        first = len(self._active)
        for row in rows:
            self._slots.occupy(row.own)
            self._active.append(row)
        return self._take(range(first, len(self._active)), logits, retry=True)

    def _step(self) -> list[Response]:
        """Add one token to every row in progress; return those that have ended."""
        room = self._kv_tokens - held_tokens(self._trunks())
        while len(self._active) > 1 and len(self._active) * (self._slots.longest + 1) > room:
            self._waiting.appendleft(self._leave(len(self._active) - 1))
        if not self._active:
            return []
        plan = self._slots.step([row.trunk for row in self._active])
        tokens = torch.tensor([[row.output[-1]] for row in self._active])
        hidden = self._wiring.hidden(tokens, plan.positions, plan, [row.voice for row in self._active])[:, -1]
        logits = self._logits(hidden)
        self._slots.lengths[: self._slots.count] += 1
        self._tally.tokens_forwarded += len(tokens)
        self._tally.tokens_distinct += len(tokens)
        self._tally.batches += 1
        return self._take(range(len(self._active)), logits, retry=False)

    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        self._tally.rows_projected += len(hidden)
        chunks = [logits for _, logits in self._wiring.logits(hidden)]
        return chunks[0] if len(chunks) == 1 else torch.cat(chunks)

    def _take(self, places: Sequence[int], logits: torch.Tensor, retry: bool) -> list[Response]:
        """Give every row at `places` its next token; rows that end or break leave."""
        sound = sound_rows(logits)
        rows = [self._active[place] for place in places]
        if retry and not all(sound):
            return self._quarantine(places, rows, sound)
        tokens = choose([row.chooser for row in rows], logits, [len(row.output) for row in rows], self._tally, sound)
        done: list[Response] = []
        for place, row, token in reversed(list(zip(places, rows, tokens, strict=True))):
            if token is None:
                self._leave(place, wipe=True)
                done.append(self._broken(row))
                continue
            self._tally.tokens_generated += 1
            response = row.take(token)
            if response is not None:
                self._leave(place)
                done.append(response)
        return done

    def _quarantine(self, places: Sequence[int], rows: Sequence[Row], sound: Sequence[bool]) -> list[Response]:
        """Take a prefilled batch back in which some logits are not finite.

        Masked keys are multiplied too, so one row's NaN may have reached its neighbours and a trunk made with it: the
        trunks are forgotten, the broken rows come back alone, and a row that is broken alone fails.
        """
        done: list[Response] = []
        for place, row, whole in reversed(list(zip(places, rows, sound, strict=True))):
            self._leave(place, wipe=True)
            if row.solo and not whole:
                done.append(self._broken(row))
                continue
            row.solo |= not whole
            self._waiting.appendleft(row)
        in_use = self._trunks()
        for row in rows:
            if row.trunk and row.trunk not in in_use:
                row.trunk.layers.clear()
            row.trunk = None if row.solo else row.trunk
        self._forget()
        return done

    def _broken(self, row: Row) -> Response:
        """Return the failure of a row whose logits are not finite, with the layer named."""
        if self._wiring.voices is not None:
            self._wiring.voices.names = [row.voice]
        return self._suspects.check(row.job.request.key, row.tokens())

    def _leave(self, place: int, wipe: bool = False) -> Row:
        """Take a row out; the last one moves into its slot."""
        self._slots.release(place, wipe)
        row = self._active[place]
        last = self._active.pop()
        if last is not row:
            self._active[place] = last
        return row

    def _forget(self) -> None:
        self._carried, self._carried_tokens = Carried(), trie.NO_TOKENS

    def _smaller_prefill(self) -> list[Response]:
        """Halve the passes down to SMALL_PREFILL tokens, then the rows, then the passes of a single row."""
        crowded = self._budget.tokens <= SMALL_PREFILL and len(self._active) + self._tried > 1
        return [] if not crowded and self._budget.halve() else self._fewer_rows()

    def _fewer_rows(self) -> list[Response]:
        """Call every row back and go on with half as many; fail a row that does not fit alone."""
        count = len(self._active) + self._tried
        while self._active:
            self._waiting.appendleft(self._leave(len(self._active) - 1))
        self._slots = Slots()
        self._forget()
        if count <= 1:
            row = self._waiting.popleft()
            message = "memory ran out on one generation alone; use a smaller model or a larger machine"
            return [failed(row.job.request.key, "out_of_memory", message)]
        self._max_rows = max(1, count // 2)
        self._tally.halvings += 1
        return []


def _place(row: Row) -> tuple[int, str, bytes]:
    """Sort by length class below the trunk (powers of two), longest first, then by voice, then depth first."""
    return -(row.own // ROOM_TOKENS).bit_length(), row.voice, trie.sort_key(row.job.prompt)
