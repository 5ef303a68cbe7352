"""How we learn: sources, the synthetic province, quality, fitting and judging."""
