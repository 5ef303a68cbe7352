"""What every model must beat: the ways in which risk is told without one, or with a simpler one."""
