"""What people and machines read: rows, tables, pages. Comes in: verdicts and runs. Decides nothing. Rank 2."""
