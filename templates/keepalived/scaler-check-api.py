#!/usr/bin/python3
"""Tell Keepalived whether this host's load balancer leads to an API server that is ready: exit 0, else 1."""

import http.client
import signal
import ssl
import sys

# For the whole answer, whichever part of it is slow. Keepalived asks every 2 seconds and waits for 3.
SECONDS = 2


def status(bind):
    """Return the HTTP status of /readyz at the balancer that is bound to ``bind``: ADDRESS:PORT, *:PORT or PORT."""
    address, _, port = bind.rpartition(":")
    host = "127.0.0.1" if address in ("", "*") else address
    # Only whether it answers counts, as for HAProxy's own checks, and nothing is sent that somebody could abuse.
    context = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=SECONDS)
    connection.request("GET", "/readyz")
    return connection.getresponse().status


def late(_signal, _frame):
    """End a look that takes too long."""
    raise TimeoutError("no answer within {} s".format(SECONDS))


def main():
    """Look once."""
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        return 0 if status(sys.argv[1]) == 200 else 1
    except (OSError, http.client.HTTPException) as e:
        print(e, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
