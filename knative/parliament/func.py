"""The whole of a legacy function: the handler that the project has for the parliament runtime."""

from function.func import main as main
