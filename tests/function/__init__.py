"""The function as a process, over every way in."""
