"""``python -m models.variants``: see `export.variants`."""

from export.variants import main

if __name__ == "__main__":
    main(prog_name="python -m models.variants")
