"""From a snapshot of the cluster to placements: pure decisions around the placement engine."""
