"""The command line: options, the session of one command, and its output as tables, lines or JSON."""
