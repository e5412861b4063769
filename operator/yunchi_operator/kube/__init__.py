"""The only code that talks HTTP to an API server."""
