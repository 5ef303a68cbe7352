"""The commands that ``xinjian`` offers for data and learning: thin, no logic of their own."""
