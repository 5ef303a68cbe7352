"""Whether a model still sees the world that it was fitted on, and still tells it right."""
