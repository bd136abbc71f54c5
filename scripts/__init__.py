"""The programs behind the targets of the Makefile. Not in the wheel."""
