"""``python -m models.seeds``: see `training.seeds`."""

from export.launch import run

if __name__ == "__main__":
    run("training.seeds", "models.seeds")
