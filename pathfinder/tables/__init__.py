"""What every CSV file of a run holds."""
