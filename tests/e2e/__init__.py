"""The system beside programs of others: a browser, schemathesis, Prometheus, a registry. ``make e2e``."""
