"""Telemetry of requests and starts: counters, durations, log lines."""
