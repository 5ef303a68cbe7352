"""The door: the ``xinjian`` command and the version, nothing else."""


def __getattr__(name: str) -> str:
    """Return ``__version__``; looked up when asked for, since the look-up is half of ``--help``."""
    if name == "__version__":
        from importlib.metadata import version

        return version("xinjian")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
