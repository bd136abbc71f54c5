"""``python -m models.train``: see `training.train`."""

from export.launch import run

if __name__ == "__main__":
    run("training.train", "models.train")
