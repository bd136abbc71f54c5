"""What the system promises, in packages by what they test; `tests.support` holds what they share."""

from vaccel_common.telemetry import send_nothing

send_nothing()
