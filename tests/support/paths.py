"""Where the checkout and the models that ship are."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
TWEETS = MODELS / "tweets.pt"


@cache
def shipped_store() -> Path:
    """A store of the model that ships alone: ``make variants`` writes other forms beside it, which would run in its place."""
    folder = Path(tempfile.mkdtemp(prefix="store-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for path in (TWEETS, MODELS / "tweets.pt.sha256"):
        shutil.copy(path, folder)
    return folder
