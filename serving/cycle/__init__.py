"""Work that comes round: steps done one after another, each in a process of its own, once."""
