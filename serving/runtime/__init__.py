"""Models that are live: fetched, checked, swapped, and applied."""
