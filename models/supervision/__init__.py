"""Supervision: what may be done with a decision or a record, in which order, on which ground."""
