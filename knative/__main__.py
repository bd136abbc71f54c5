"""``python -m knative``: deploy, status, verify, undeploy."""

from knative.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main(prog_name="python -m knative")
