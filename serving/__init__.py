"""How we serve: the API, the ledger and the jobs."""
