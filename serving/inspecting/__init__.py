"""Inspections in the service: what the routes of lists, plans and draws share."""
