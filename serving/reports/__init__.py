"""Documents for people, set by typst in the shipped font."""
