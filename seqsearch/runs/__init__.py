"""Run folders: what one query run found, as Parquet parts that any engine reads.

results  Hits and Calls, and their tables
folder   a run folder: created, resumed, filled part by part, read
"""
