"""What the system promises, in packages by what they test; `tests.support` holds what they share."""
