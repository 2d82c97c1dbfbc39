#!/usr/bin/python3
"""Keep one route for each other node's pods: its pod CIDR by its InternalIP, as the API's Nodes say.

It lists and watches Nodes with kube-proxy's credentials (system:node-proxier may), so a node that joins or leaves is
routed to within a second, and no other host has to be touched for it.
"""

import argparse
import base64
import http.client
import json
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

# A number that no routing daemon has (see /etc/iproute2/rt_protos), so that our routes are told from others.
PROTOCOL = "197"


def value(text, key):
    """Return the one value of ``key`` in a kubeconfig of scaler's own making."""
    return next(line.split(": ", 1)[1].strip() for line in text.splitlines() if line.strip().startswith(key + ":"))


def connect(kubeconfig):
    """Return a connection to the API server the kubeconfig names."""
    text = open(kubeconfig).read()
    context = ssl.create_default_context(cadata=base64.b64decode(value(text, "certificate-authority-data")).decode())
    with tempfile.NamedTemporaryFile() as pair:
        for key in ("client-certificate-data", "client-key-data"):
            pair.write(base64.b64decode(value(text, key)))
        pair.flush()
        context.load_cert_chain(pair.name)
    url = urllib.parse.urlsplit(value(text, "server"))
    return http.client.HTTPSConnection(url.hostname, url.port or 443, context=context, timeout=90)


def route_of(node):
    """Return (pod CIDR, InternalIP) of ``node``, None while either is missing."""
    addresses = [a["address"] for a in node.get("status", {}).get("addresses", []) if a["type"] == "InternalIP"]
    cidr = node.get("spec", {}).get("podCIDR")
    return (cidr, addresses[0]) if cidr and addresses else None


def ip(*argv):
    """Run ip route; what fails is said and tried again at the next look."""
    done = subprocess.run(["ip", "route", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print("ip route", *argv, done.stdout.decode().strip(), file=sys.stderr, flush=True)
    return done.stdout.decode()


def settle(wanted):
    """Make this host's routes equal ``wanted``: pod CIDR to gateway."""
    found = {}
    for line in ip("show", "proto", PROTOCOL).splitlines():
        words = line.split()
        if "via" in words:
            found[words[0]] = words[words.index("via") + 1]
    for cidr, gateway in wanted.items():
        if found.get(cidr) != gateway:
            ip("replace", cidr, "via", gateway, "proto", PROTOCOL)
    for cidr in found:
        if cidr not in wanted:
            ip("del", cidr, "proto", PROTOCOL)


def follow(kubeconfig, own):
    """List Nodes, then follow their changes until the server ends the watch."""
    api = connect(kubeconfig)
    api.request("GET", "/api/v1/nodes")
    answer = api.getresponse()
    told = json.load(answer)
    if answer.status != 200:
        raise OSError(told.get("message", answer.status))
    nodes = {n["metadata"]["name"]: route_of(n) for n in told["items"]}
    version = told["metadata"]["resourceVersion"]
    watch = connect(kubeconfig)
    watch.request("GET", "/api/v1/nodes?watch=1&timeoutSeconds=60&resourceVersion=" + version)
    stream = watch.getresponse()
    before = None
    while True:
        wanted = dict(r for name, r in nodes.items() if r and name != own)
        if wanted != before:
            settle(wanted)
            before = wanted
        line = stream.readline()
        if not line:
            return
        event = json.loads(line)
        if event["type"] == "ERROR":
            return
        name = event["object"]["metadata"]["name"]
        nodes[name] = None if event["type"] == "DELETED" else route_of(event["object"])


def main():
    """Follow the Nodes for ever; with --clean remove what was made and end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default="")
    parser.add_argument("--kubeconfig", default="")
    parser.add_argument("--clean", action="store_true")
    arguments = parser.parse_args()
    if arguments.clean:
        settle({})
        subprocess.run(["ip", "link", "delete", "cni0"], stderr=subprocess.DEVNULL)
        return
    while True:
        try:
            follow(arguments.kubeconfig, arguments.node)
        except (OSError, ValueError, http.client.HTTPException) as e:
            print("the API server:", e or type(e).__name__, file=sys.stderr, flush=True)
            time.sleep(2)


main()
