"""The executor on Ray: a local one that starts by itself, or a cluster; the only folder that imports ray."""

from datapipe.cluster.scheduler import RayExecutor

__all__ = ["RayExecutor"]
