"""``python -m function.classifier``: see `function.cli.classifier`."""

from function.cli.classifier import main

if __name__ == "__main__":
    main(prog_name="vaccel-classifier")
