"""Placement engine: packs items on nodes with a proven bound. Knows no Kubernetes."""
