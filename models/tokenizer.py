"""``python -m models.tokenizer``: see `export.tokenizer`."""

from export.launch import run

if __name__ == "__main__":
    run("export.tokenizer", "models.tokenizer")
