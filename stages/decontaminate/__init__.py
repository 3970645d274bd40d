"""Decontamination: documents, or parts of them, that overlap the items of benchmarks."""

from stages.decontaminate.stage import Benchmark, Decontaminate

__all__ = ["Benchmark", "Decontaminate"]
