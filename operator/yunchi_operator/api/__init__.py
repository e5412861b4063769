"""Typed views of API objects, quantities and conditions. No I/O."""
