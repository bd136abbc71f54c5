"""``python -m models.train``: see `training.train`."""

from training.train import main

if __name__ == "__main__":
    main(prog_name="python -m models.train")
