"""Pack wheels for nodes without a package registry: scripts/bundle_wheels.py REQUIREMENT... -o OUT.

What is required, and what that needs, is downloaded at the versions of constraints.txt, and packed
in parts; --extra adds the package's own requirements. --unpack checks them and writes the wheels.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seqsearch.errors import SeqsearchError
from seqsearch.jobs.bundling import Target, Wanted, bundle, recipe, requirements_of, unpack
from seqsearch.settings import bytes_of

REPOSITORY = Path(__file__).resolve().parents[1]


def main() -> None:
    """Bundle, or unpack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT", help="as pip takes them")
    parser.add_argument("--out", "-o", type=Path, required=True, help="folder, new")
    parser.add_argument("--unpack", type=Path, metavar="BUNDLE", help="write its wheels to OUT")
    parser.add_argument("--extra", action="append", default=[], help="of seqsearch, and its base")
    parser.add_argument("--constraints", type=Path, default=REPOSITORY / "constraints.txt")
    parser.add_argument("--no-constraints", action="store_true", help="the newest versions")
    parser.add_argument("--no-deps", action="store_true", help="only what is named")
    parser.add_argument("--find-links", type=Path, help="folder of wheels, instead of a registry")
    parser.add_argument("--part-size", default="40M", help="of a part (%(default)s)")
    parser.add_argument(
        "--python-version", default=Target.python_version, help="(this one: %(default)s)"
    )
    parser.add_argument("--implementation", default=Target.implementation, help="(%(default)s)")
    parser.add_argument(
        "--platform", action="append", help=f"tag; several if needed ({' '.join(Target.platforms)})"
    )
    options = parser.parse_args()
    if options.unpack is not None:
        for wheel in unpack(options.unpack, options.out):
            print(wheel)
        return
    requirements = list(options.requirements)
    if options.extra:
        requirements += requirements_of(REPOSITORY / "pyproject.toml", options.extra)
    if not requirements:
        parser.error("name a requirement or an --extra")
    platforms = tuple(options.platform or Target.platforms)
    manifest = bundle(
        Wanted(
            tuple(requirements),
            Target(options.python_version, options.implementation, platforms),
            None if options.no_constraints else options.constraints,
            not options.no_deps,
            options.find_links,
        ),
        options.out,
        bytes_of(options.part_size, "part-size"),
    )
    total = sum(part["size"] for part in manifest["parts"])
    counts = f"wheels: {len(manifest['wheels'])}, parts: {len(manifest['parts'])}"
    print(f"{counts}, {total / 1e6:,.1f} MB")
    print(f"In a copy of {options.out}, on the node:\n\n{recipe(manifest)}", end="")


if __name__ == "__main__":
    try:
        main()
    except SeqsearchError as error:
        sys.exit(f"Error: {error}")
