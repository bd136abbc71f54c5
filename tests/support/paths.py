"""Where the checkout and the models that ship are."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "models"
TWEETS = MODELS / "tweets.pt"
