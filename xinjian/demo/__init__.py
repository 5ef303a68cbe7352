"""The demonstration: the whole product at work, on a made province or on real tables."""
