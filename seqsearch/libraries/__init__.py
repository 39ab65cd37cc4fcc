"""Reference libraries: one importer a file, one ledger, one repair of the taxonomy.

records        what an importer yields
registry       importers by name, and which one a file asks for
fasta_table    FASTA + side table
side_table     the table: what is said of each id
distinct       distinct lines of text, which a library has far fewer of than records
fasta_lineage  FASTA with the lineage in the header
names          rank names, and words that are no names
ledger         what was kept, what was dropped and why
repair         one path for one name
"""
