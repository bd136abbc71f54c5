"""What requests and starts leave behind: counts, times, log lines."""
