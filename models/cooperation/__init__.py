"""Models that work together on one answer: they draft, steer, guide, compress, check and retrieve."""
