"""Fit the calibration that serves libraries too small for their own.

    scripts/make_calibration.py INDEX... -o seqsearch/search/calibration.json

All indexes must have the same ranks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from seqsearch.index.store import IndexStore
from seqsearch.jobs.calibrating import Answers, ask_itself, calibration_of
from seqsearch.jobs.inspecting import encoder_of
from seqsearch.tables import write_json


def main() -> None:
    """Ask every index, fit once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("indexes", nargs="+", help="index folders")
    parser.add_argument("-o", "--out", type=Path, required=True)
    options = parser.parse_args()
    parts: Answers = []
    about = {"records": 0, "queries": 0}
    encoders: set[str] = set()
    ranks: set[tuple[str, ...]] = set()
    for folder in options.indexes:
        store = IndexStore.open(folder)
        asked = ask_itself(store, encoder_of(store))
        if asked is None:
            raise SystemExit(f"{folder} has too few references")
        parts += asked[0]
        about = {name: about[name] + asked[1][name] for name in about}
        encoders.add(asked[1]["encoder"])
        print(f"{folder}: {asked[1]['queries']:,} queries")
        ranks.add(asked[2])
    manifests = [IndexStore.open(folder).manifest for folder in options.indexes]
    if len(encoders) > 1:
        raise SystemExit("the indexes have different encoders")
    if len(ranks) > 1:
        raise SystemExit("the indexes have different ranks")
    libraries = [manifest.marker for manifest in manifests]
    told = {**about, "libraries": libraries, "encoder": encoders.pop()}
    calibration = calibration_of(parts, told, ranks.pop())
    write_json(calibration.as_dict(), options.out)


if __name__ == "__main__":
    main()
