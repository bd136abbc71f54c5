"""What runs models: torch, and what `registry` finds besides."""
