"""Texts: the published model that reads them, and what its answers are to a caller."""
