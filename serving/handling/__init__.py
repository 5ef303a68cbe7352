"""Handling: what officers add to decisions: papers, reviews, rules of their own, measures."""
