"""What the service counts, as Prometheus reads it at ``/metrics``."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY: Final = CollectorRegistry()
"""The service's own; the library's default one is left to others."""

REQUESTS: Final = Counter(
    "xinjian_requests", "Requests answered.", ("method", "route", "status"), registry=REGISTRY
)
SECONDS: Final = Histogram(
    "xinjian_request_seconds",
    "Seconds from a request's first byte to its answer's last.",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
BUSY: Final = Gauge("xinjian_requests_busy", "Requests being served.", registry=REGISTRY)

REGISTRY_UP: Final = Gauge(
    "xinjian_registry_up", "Whether the registry of models answered last.", registry=REGISTRY
)
MODEL_EVENTS: Final = Counter(
    "xinjian_model_events",
    "Models that went live, were retired or were refused.",
    ("scenario", "role", "event"),
    registry=REGISTRY,
)
DECISIONS: Final = Counter(
    "xinjian_decisions", "Decisions made.", ("scenario", "role", "stored"), registry=REGISTRY
)
SHADOW_ERRORS: Final = Counter(
    "xinjian_shadow_errors",
    "Times that a challenger could not decide beside the champion.",
    ("scenario",),
    registry=REGISTRY,
)

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition() -> bytes:
    """Return the figures of this process in Prometheus' text format."""
    return generate_latest(REGISTRY)
