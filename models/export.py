"""``python -m models.export``: see `export.commands`."""

from export.launch import run

if __name__ == "__main__":
    run("export.commands", "models.export")
