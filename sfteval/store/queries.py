"""Questions to many runs at once, answered by duckdb over their Parquet files; no sample becomes a record.

Comes in: the store's folder and the ids of complete runs. Goes out: means and paired tables as plain rows, and the
samples of one run as JSON columns, in parts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sfteval.errors import StoreError
from sfteval.store.layout import RunFiles

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MEMORY_LIMIT = "1GB"
_SCORES = """
CREATE TEMP VIEW scores AS
SELECT run, suite, task, sample_id, repeat, cluster, key, entry.key AS "check", entry.value AS score
FROM (SELECT *, unnest(map_entries(scores)) AS entry FROM samples)
"""
_MEANS = """
SELECT run, suite, task, "check", count(*) AS n, avg(score) AS mean
FROM scores GROUP BY ALL ORDER BY ALL
"""
_PAIRED = """
SELECT p.run, p.reference, a.suite, a.task, a."check", count(*) AS n, avg(b.score) AS before, avg(a.score) AS now,
    count_if(a.score > b.score) AS gains, count_if(a.score < b.score) AS losses,
    bool_and(a.score IN (0, 1) AND b.score IN (0, 1)) AND count(DISTINCT a.cluster) = count(*) AS "binary"
FROM pairs p
JOIN scores a ON a.run = p.run
JOIN scores b ON b.run = p.reference AND b.suite = a.suite AND b.task = a.task AND b."check" = a."check"
    AND b.sample_id = a.sample_id AND b.repeat = a.repeat AND b.key = a.key
JOIN wanted w ON w.suite = a.suite AND w.task = a.task AND w."check" = a."check"
GROUP BY ALL ORDER BY ALL
"""
_DIFFERENCES = """
SELECT a.score, b.score, a.cluster
FROM scores a JOIN scores b USING (suite, task, "check", sample_id, repeat, key)
WHERE a.run = ? AND b.run = ? AND suite = ? AND task = ? AND "check" = ?
ORDER BY sample_id, repeat
"""
_SAMPLES = """
WITH ordered AS (
    SELECT *, row_number() OVER place AS place, sum(length(prompt) + length(output)) OVER place AS characters
    FROM read_parquet(?)
    WINDOW place AS (PARTITION BY suite ORDER BY task, sample_id, repeat ROWS UNBOUNDED PRECEDING)
)
SELECT suite, count(*) AS n, to_json({COLUMNS}) AS part
FROM ordered
GROUP BY suite, (place - 1) // ?, characters // ?
ORDER BY suite, min(place)
"""
_COLUMNS = (
    *("sample_id", "repeat", "task", "status", "scores", "evidence", "prompt", "output", "finish_reason"),
    *("prompt_tokens", "output_tokens", "error", "tags"),
)
_LISTS = ", ".join(f"'{name}': list({name} ORDER BY place)" for name in _COLUMNS)


class RunQueries:
    """Questions to complete runs; a context manager."""

    def __init__(self, root: Path, run_ids: Sequence[str]) -> None:
        """Open the runs' sample files.

        Raises:
            StoreError: a file cannot be read.
        """
        import duckdb

        self._error: type[Exception] = duckdb.Error
        self._root = root
        self._connection = duckdb.connect(config={"memory_limit": MEMORY_LIMIT, "preserve_insertion_order": "false"})
        paths = [str(RunFiles(root / run_id).samples) for run_id in run_ids]
        self._connection.execute("CREATE TEMP TABLE files (run VARCHAR, path VARCHAR)")
        if not paths:
            return
        self._connection.executemany("INSERT INTO files VALUES (?, ?)", list(zip(run_ids, paths, strict=True)))
        listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
        self._ask(
            "CREATE TEMP VIEW samples AS SELECT f.run, s.* FROM "
            f"read_parquet([{listed}], filename = true, union_by_name = true) s JOIN files f ON f.path = s.filename"
        )
        self._ask(_SCORES)

    def __enter__(self) -> RunQueries:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def means(self) -> list[dict[str, Any]]:
        """Return run, suite, task, check, n and mean of every metric of every run."""
        return self._ask(_MEANS)

    def counts(self) -> list[dict[str, Any]]:
        """Return run, suite and the number of samples."""
        return self._ask("SELECT run, suite, count(*) AS n FROM samples GROUP BY ALL ORDER BY ALL")

    def paired(self, pairs: Sequence[tuple[str, str]], wanted: Sequence[tuple[str, str, str]]) -> list[dict[str, Any]]:
        """Return, per (run, reference) and wanted (suite, task, check), what paired samples say.

        Returns:
            Rows of run, reference, suite, task, check, n, before, now, gains, losses, binary (zeros and ones without
            clusters, so that gains and losses say everything).
        """
        if not pairs or not wanted:
            return []
        self._connection.execute("CREATE OR REPLACE TEMP TABLE pairs (run VARCHAR, reference VARCHAR)")
        self._connection.executemany("INSERT INTO pairs VALUES (?, ?)", list(pairs))
        self._connection.execute('CREATE OR REPLACE TEMP TABLE wanted (suite VARCHAR, task VARCHAR, "check" VARCHAR)')
        self._connection.executemany("INSERT INTO wanted VALUES (?, ?, ?)", list(wanted))
        return self._ask(_PAIRED)

    def differences(
        self, run: str, reference: str, place: tuple[str, str, str]
    ) -> tuple[list[float], list[float], list[str]]:
        """Return the paired scores of one metric (suite, task, check): run's, reference's, and their clusters."""
        found = self._rows(_DIFFERENCES, [run, reference, *place])
        return [row[0] for row in found], [row[1] for row in found], [row[2] for row in found]

    def samples(self, run: str, *, rows: int, characters: int) -> Iterator[tuple[str, int, str]]:
        """Yield suite, number of samples and JSON columns of each part of a run's samples.

        The JSON holds a list per column, in order of task, id and repeat. Its text is as it is stored: a reader
        undoes `encoding`.

        Args:
            run: Run id.
            rows: Samples of a part at most.
            characters: Characters of prompts and answers of a part at most, unless a single sample has more.
        """
        query = _SAMPLES.replace("COLUMNS", _LISTS)
        yield from self._rows(query, [str(RunFiles(self._root / run).samples), rows, characters])

    def write_metrics(self, path: Path, form: str) -> None:
        """Write `means` as a file of `form`, "csv" or "parquet"."""
        target = str(path).replace("'", "''")
        option = "FORMAT parquet" if form == "parquet" else "FORMAT csv, HEADER"
        self._ask(f"COPY ({_MEANS}) TO '{target}' ({option})")

    def _ask(self, query: str) -> list[dict[str, Any]]:
        found = self._rows(query, [])
        names = [column[0] for column in self._connection.description or ()]
        return [dict(zip(names, row, strict=True)) for row in found]

    def _rows(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(query, values).fetchall()
        except self._error as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            do = "Say which runs are damaged with: sfteval runs list"
            raise StoreError(self._root, f"runs that cannot be read ({first})", "whole Parquet files", do) from error
        return found
