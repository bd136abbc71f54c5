"""Figures that anyone can make: each is a ratio of two things measured in one run, since machines differ."""
