"""`python -m seqsearch` is the command `seqsearch`."""

from seqsearch.cli.main import main

if __name__ == "__main__":
    main()
