"""The command `seqsearch`, and the one place where errors become sentences."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from seqsearch.cli import convert, demo, doctor, index, library, maps, query, sql, train
from seqsearch.errors import SeqsearchError, SettingsError
from seqsearch.settings import VERSION

STOPPED = 130  # what the framework makes of Ctrl-C

app = typer.Typer(
    name="seqsearch",
    help="Name DNA: reference libraries as vectors, nearest neighbours as votes, SQL over it all.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.add_typer(index.app, name="index")
app.add_typer(library.app, name="library")
app.command("query")(query.query)
app.command("call")(query.call)
app.command("export")(query.export)
app.command("sql")(sql.sql)
app.command("map")(maps.draw_map)
app.add_typer(train.app, name="train")
app.command("convert")(convert.convert)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"seqsearch {VERSION}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line: exit 0 done, 1 error, 2 usage, 130 stopped by the user."""
    try:
        app()
    except SettingsError as error:
        _stop(str(error), 2)
    except SeqsearchError as error:
        _stop(str(error), 1)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(f"{where}{error.strerror or error}", 1)
    except SystemExit as ended:
        if ended.code == STOPPED:
            _stop("stopped; a build or a query goes on when the same command is run again", STOPPED)
        raise


def _stop(sentence: str, status: int) -> None:
    print(f"Error: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(status)
