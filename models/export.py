"""``python -m models.export``: see `export.commands`."""

from export.commands import main

if __name__ == "__main__":
    main(prog_name="python -m models.export")
