"""The ledger: what the service did, in PostgreSQL; the only place that knows SQL.

Each module holds the tables of one noun and the functions that read and write them; functions take
a connection, so that the caller decides what is one transaction.
"""
