"""``python -m models.tokenizer``: see `export.tokenizer`."""

from export.tokenizer import main

if __name__ == "__main__":
    main(prog_name="python -m models.tokenizer")
