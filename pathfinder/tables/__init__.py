"""The tables of a run: what every CSV file holds, how it is written and read, and what summarises it."""

from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.summary import summarize

__all__ = ["read_table", "summarize", "write_table"]
