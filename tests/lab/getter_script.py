"""Asks a web server again and again, each time over a connection of its own, and counts who answered and who did not.

Runs on any host (standard library only). Told by JSON on the first line of standard input; ends when that is closed,
and prints what came of it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections import Counter

TIMEOUT = 5


def main() -> None:
    told = json.loads(sys.stdin.readline())
    answered: Counter[str] = Counter()
    failures: list[str] = []
    until = threading.Event()

    def ask() -> None:
        while not until.wait(told["every"]):
            connection = http.client.HTTPConnection(told["host"], told["port"], timeout=TIMEOUT)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode(errors="replace").strip()
                if answer.status == 200:
                    answered[body] += 1
                else:
                    failures.append(f"{time.strftime('%H:%M:%S')} HTTP {answer.status}")
            except (OSError, http.client.HTTPException) as e:
                failures.append(f"{time.strftime('%H:%M:%S')} {type(e).__name__}: {e}")
            finally:
                connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    sys.stdin.read()
    until.set()
    thread.join()
    print(json.dumps({"answered": answered, "failures": failures}))


if __name__ == "__main__":
    main()
