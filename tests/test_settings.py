"""A setting that is out of its range stops a command before it does anything: exit 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqsearch.errors import SettingsError
from seqsearch.jobs.opened import open_index

RULE = "RANK>=PERCENT, more of them behind commas, in quotes, as in 'species>=97,genus>=95'"
BEE_RANKS = "ranks of this library (family, genus, species) or coverage"
QUERY_SETTINGS = {
    ("--hits", "0"): "hits is 0: expected 1 or more",
    ("--candidates", "5"): "candidates is 5: expected hits (10) or more",
    ("--align", "-1"): "align is -1: expected 0 (none) or more",
    ("--strand", "sideways"): "strand is 'sideways': expected both or plus or minus",
    ("--min-confidence", "1.5"): "min-confidence is 1.5: expected a number in [0, 1]",
    ("--min-confidence", "nan"): "min-confidence is nan: expected a number in [0, 1]",
    ("--taxon", "Nobody"): "taxon is 'Nobody': expected the name of a taxon in this index",
    ("--device", "tpu"): "device is 'tpu': expected auto or cpu or cuda",
    ("--batch-size", "0"): "batch-size is 0: expected 1 or more",
    ("--threads", "-1"): "threads is -1: expected 0 (all cores) or more",
    ("--rule", "species"): f"rule is 'species': expected {RULE}",
    ("--rule", "tribe>=95"): f"rule is 'tribe>=95': expected {BEE_RANKS}, not 'tribe'",
    ("--rule", "species>=95,genus>=97"): (
        "rule is 'species>=95,genus>=97': "
        "expected at most the 95 % of species for genus, which stands above"
    ),
    ("--rule", "species>=97", "--min-confidence", "0.8"): (
        "min-confidence is 0.8: expected none beside a rule, which names by identity"
    ),
    ("--rule", "species>=97", "--within", "-1"): (
        "within is -1.0: expected percentage points from 0 to 100"
    ),
    ("--within", "0.5"): "within is 0.5: expected a rule beside it",
}


@pytest.mark.parametrize("options", QUERY_SETTINGS)
def test_query_settings(options: tuple[str], bees: Path, more_bees: Path, fails: Any) -> None:
    words = ("query", bees, more_bees, "-o", bees.parent / "out", *options)
    assert fails(*words, status=2) == QUERY_SETTINGS[options]
    assert not (bees.parent / "out").exists()


THREADS = "threads is -1: expected 0 (all cores) or more"
ENCODER = "encoder is 'none': expected one of markers-1, spectrum, an encoder's folder, or hf:REPO"
FORMAT = "format is 'none': expected auto, fasta-table, fasta-lineage"
TAXONOMY = "taxonomy is None: expected a table with --format fasta-table"
REF_IDS = "expected ids of references in this index (none removed)"
NAME = "name is 'none': expected one of composition, unassigned, best-hits"
OTHER_SETTINGS = {
    "index build LIBRARY -o OUT --threads -1": THREADS,
    "index build LIBRARY -o OUT --encoder none": ENCODER,
    "index build LIBRARY -o OUT --format none": FORMAT,
    "index build LIBRARY -o OUT --format fasta-table": TAXONOMY,
    "index add INDEX LIBRARY --threads -1": THREADS,
    "index verify INDEX --threads -1": THREADS,
    "index remove INDEX": f"ref ids is '': {REF_IDS}",
    "index remove INDEX a x": f"ref ids is 'x': {REF_IDS}",
    "index remove INDEX a b c": "ref ids is '3 ids': expected to leave at least one reference",
    "call RUN --min-confidence 2": "min-confidence is 2.0: expected a number in [0, 1]",
    "call RUN --rule tribe>=95": f"rule is 'tribe>=95': expected {BEE_RANKS}, not 'tribe'",
    "call RUN --rule species>=97 --min-confidence 0": (
        "min-confidence is 0.0: expected none beside a rule, which names by identity"
    ),
    "call RUN --within 1": "within is 1.0: expected a rule beside it",
    "sql RUN 1 --time-limit -1": "time-limit is -1.0: expected a number of seconds above 0",
    "sql RUN --name none": NAME,
    "sql RUN": "sql is 'RUN': expected TARGET... and a statement, or TARGET... --name QUERY",
}


@pytest.mark.parametrize("words", OTHER_SETTINGS)
def test_other_settings(
    words: str, bees: Path, bee_run: Path, more_bees: Path, tmp_path: Path, hashes: Any, fails: Any
) -> None:
    places = {"INDEX": bees, "RUN": bee_run, "LIBRARY": more_bees, "OUT": tmp_path / "out"}
    before = hashes(bees), hashes(bee_run)
    expected = OTHER_SETTINGS[words].replace("RUN", str(bee_run))
    assert fails(*(places.get(word, word) for word in words.split()), status=2) == expected
    assert not (tmp_path / "out").exists()
    assert (hashes(bees), hashes(bee_run)) == before


def test_settings_from_python(bees: Path, more_bees: Path) -> None:
    with open_index(bees) as opened, pytest.raises(SettingsError) as caught:
        opened.query(more_bees, bees.parent / "out", hits=0)
    assert (caught.value.setting, caught.value.value) == ("hits", 0)
