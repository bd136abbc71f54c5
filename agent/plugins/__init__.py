"""What runs models. One plugin: torch."""
