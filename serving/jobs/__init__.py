"""Work in the background: queued in the ledger, done by a worker."""
