"""Statements with a name: `seqsearch sql RUN --name composition`."""

from __future__ import annotations

from dataclasses import dataclass

from seqsearch.errors import SettingsError


@dataclass(frozen=True)
class NamedQuery:
    """A statement over the views of `views`."""

    description: str
    statement: str


NAMED: dict[str, NamedQuery] = {
    "composition": NamedQuery(
        "how many queries (and reads, by ;size=) were named as what, by rank",
        """
        SELECT a.target, q.sample, a.rank, a.name, count(*) AS queries,
               sum(coalesce(q.size, 1))::BIGINT AS reads
        FROM (UNPIVOT (SELECT * EXCLUDE (rank) FROM assignments)
              ON COLUMNS(lambda c: c NOT LIKE 'p@_%' ESCAPE '@' AND c NOT IN (
                'target', 'query', 'query_id', 'length', 'strand', 'verdict', 'taxon',
                'novel_rank', 'best_ref', 'similarity', 'identity', 'query_coverage', 'n_hits',
                'alternatives', 'reason'))
              INTO NAME rank VALUE name) a
        JOIN queries q ON q.target = a.target AND q.query = a.query
        JOIN ranks r ON r.target = a.target AND r.rank = a.rank
        GROUP BY ALL ORDER BY a.target, q.sample, min(r.position), queries DESC, a.name
        """,
    ),
    "unassigned": NamedQuery(
        "queries without any name, and why",
        """
        SELECT target, query_id, length, verdict, best_ref, similarity, reason
        FROM assignments WHERE rank IS NULL ORDER BY target, query
        """,
    ),
    "best-hits": NamedQuery(
        "each query's best hit, with its lineage",
        """
        SELECT h.target, q.query_id, r.ref_id, h.similarity, h.identity, h.strand, r.lineage
        FROM hits h
        JOIN queries q ON q.target = h.target AND q.query = h.query
        JOIN refs r ON r.target = h.target AND r.reference = h.reference
        WHERE h.hit = 0 ORDER BY h.target, h.query
        """,
    ),
}


def named_query(name: str) -> str:
    """Return a statement by its name.

    Raises
    ------
    SettingsError
        There is none of that name.
    """
    if name not in NAMED:
        raise SettingsError("name", name, "one of " + ", ".join(NAMED))
    return NAMED[name].statement
