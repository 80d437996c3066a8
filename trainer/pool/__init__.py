"""The sample pool and the ledger of rounds: one SQLite file."""
