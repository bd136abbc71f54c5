"""The agent as a process: its options, its store, its engines."""
