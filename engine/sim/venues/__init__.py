"""Venues of the simulated market: one module per real exchange."""
