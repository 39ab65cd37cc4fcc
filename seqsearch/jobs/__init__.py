"""The pipelines that string the rooms together; the commands and the Python API call these.

importing  libraries to unique rows with labels
build      index build, add, remove
inspecting indexes described, listed, verified
opened     an open index: classify, query
pipeline   reads to hits and calls, stages overlapped
querying   the run folder of a query, resumed where it was cut off
assigning  assignments drawn from a run
opened_run an open run: tables and SQL
demo       a simulated library, built, queried and scored
doctor     what this machine can do, and what is missing
"""
