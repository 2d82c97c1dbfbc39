"""Runs on a host by its own Python (3.6 and later, standard library only): asks HTTPS servers, or answers as one.

What to do comes as JSON on standard input; the answers go out as JSON.
"""

import http.client
import json
import select
import socket
import ssl
import sys
import time


def context_for(ask):
    if ask["ca"] or ask["ca_file"]:
        made = ssl.create_default_context(cadata=ask["ca"] or None, cafile=ask["ca_file"] or None)
    else:
        made = ssl._create_unverified_context()
    if ask["certificate"]:
        made.load_cert_chain(ask["certificate"], ask["key"])
    return made


class Connection(http.client.HTTPSConnection):
    """HTTPS to an address, under another name."""

    def __init__(self, ask, seconds):
        http.client.HTTPSConnection.__init__(self, ask["address"], ask["port"], timeout=seconds)
        self.ask, self.tls = ask, context_for(ask)

    def connect(self):
        raw = socket.create_connection((self.ask["address"], self.ask["port"]), self.timeout)
        self.sock = self.tls.wrap_socket(raw, server_hostname=self.ask["name"] or self.ask["address"])


def answer(ask, seconds):
    try:
        connection = Connection(ask, seconds)
        connection.request("GET", ask["path"])
        status = connection.getresponse().status
        connection.close()
    except (OSError, ValueError, http.client.HTTPException) as e:
        return {"status": 0, "error": str(e) or type(e).__name__}
    return {"status": status, "error": "" if status == 200 else "HTTP %d" % status}


def bound(address, port, end):
    """Listen on a port, once whoever had it lets it go: a listener whose caller was killed ends by itself."""
    while True:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(16)
        except OSError:
            listener.close()
            if time.time() >= end:
                raise
            time.sleep(0.5)
        else:
            return listener


def listen(told):
    """Answer on every port until each was asked for the path by clients of the same authority, or the time is over.

    Members of etcd to whom the host was told already ask here too, for other paths: they are answered, and not counted.
    """
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=told["pki"] + "/ca.crt")
    tls.load_cert_chain(told["pki"] + "/peer.crt", told["pki"] + "/peer.key")
    tls.verify_mode = ssl.CERT_REQUIRED
    free = time.time() + told["seconds"]
    listeners = {bound(told["address"], port, free): port for port in told["listen"]}
    end, reached = time.time() + told["seconds"], set()
    while time.time() < end and told["clients"] > len(reached):
        for listener in select.select(list(listeners), [], [], 0.2)[0]:
            try:
                raw, peer = listener.accept()
                raw.settimeout(5)
                with tls.wrap_socket(raw, server_side=True) as talk:
                    asked = talk.recv(4096).decode(errors="replace").split(" ")
                    talk.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                    if told["path"] in asked[:2]:
                        reached.add((peer[0], listeners[listener]))
            except (OSError, ValueError):
                continue
    return sorted(reached)


def main():
    told = json.loads(sys.stdin.read())
    said = listen(told) if "listen" in told else [answer(ask, told["seconds"]) for ask in told["asks"]]
    print(json.dumps(said))


main()
