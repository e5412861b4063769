"""A real Kubernetes control plane on loopback, for the demo and the tests.

Import from the modules: `controlplane.binaries`, `controlplane.cluster`. This file stays empty of imports, so that the
small reaper process starts at once.
"""
