"""Command line: the only module tree that prints to a terminal."""
