"""The two long-running processes: wiring of clocks, clients and loops around the pure core."""
