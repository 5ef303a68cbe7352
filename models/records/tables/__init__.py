"""The built-in contracts, one module per field of record."""
