"""A market of our own making, behind loopback servers that speak the venues' protocols."""
