"""What every CSV file of a run holds."""

from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.summary import summarize

__all__ = ["read_table", "summarize", "write_table"]
