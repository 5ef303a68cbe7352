"""The record lake: Delta tables of facts in buckets of subjects, merged by record id."""

from models.records.lake.layout import bucket_of, bucket_values
from models.records.lake.store import Compacted, Lake, Merged

__all__ = ["Compacted", "Lake", "Merged", "bucket_of", "bucket_values"]
