"""The program of `helm test`: has two texts classified, and asks until a deadline.

Helm does not wait for a Knative Service: directly after an install its name does not resolve yet,
and then the ingress has no route for it (404).
"""

import http.client
import json
import sys
import time
import urllib.error
import urllib.request

TEXTS = ["What a lovely day", "Tea and cake at four"]
#: Responses of an ingress without a route, of one without a ready pod, and of a function without an agent.
NOT_YET = (404, 429, 502, 503, 504)


def ask(url: str, timeout: float) -> list[str]:
    """The labels of the texts."""
    body = json.dumps({"texts": TEXTS}).encode()
    request = urllib.request.Request(url + "/classify", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as response:
        labels = [str(prediction["label"]) for prediction in json.load(response)["predictions"]]
    if len(labels) != len(TEXTS):
        raise ValueError(f"{len(labels)} predictions for {len(TEXTS)} texts")
    return labels


def main(url: str, seconds: float) -> None:
    """Prints the labels, or exits with one line that has the last reason."""
    end, why = time.monotonic() + seconds, "no time was left"
    while (left := end - time.monotonic()) > 0:
        try:
            print(f"{url} answers: {', '.join(ask(url, left))}")
            return
        except urllib.error.HTTPError as error:
            why = f"{error.code} {error.reason} {error.read(300).decode(errors='replace')}"
            if error.code not in NOT_YET:
                break
        except (OSError, http.client.HTTPException) as error:
            why = str(getattr(error, "reason", error))
        except (ValueError, LookupError, TypeError) as error:
            why = f"not the expected answer: {error}"
            break
        time.sleep(min(1, left))
    line = "".join(c if c.isprintable() else " " for c in " ".join(why.split()))
    sys.exit(f"{url} did not classify within {seconds:g} s; the last attempt: {line}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
