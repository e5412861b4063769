"""The one exception that tells a person what went wrong and what to do."""


class ControlPlaneError(RuntimeError):
    """A control plane or one of its binaries could not be had; the message names the remedy."""
