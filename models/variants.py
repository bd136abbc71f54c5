"""``python -m models.variants``: see `export.variants`."""

from export.launch import run

if __name__ == "__main__":
    run("export.variants", "models.variants")
