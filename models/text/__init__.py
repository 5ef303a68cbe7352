"""Reading violation texts: what was done, how grave it is, and who must handle it."""
