"""Portraits: what is known of one subject as of a day, and what would follow if it were changed."""
