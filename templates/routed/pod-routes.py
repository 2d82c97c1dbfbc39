#!/usr/bin/python3
"""Keep one route for each other node's pods: its pod CIDR by its InternalIP, as the API's Nodes say.

It lists and watches Nodes with kube-proxy's credentials (system:node-proxier may), so a node that joins or leaves is
routed to within a second, and no other host has to be touched for it. With --routing bgp-mesh or bgp-reflector it makes
no routes but tells BIRD who its neighbours are: every node, or the nodes with the label of reflectors.
"""

import argparse
import base64
import http.client
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

NEIGHBOURS = "/run/pod-routes/neighbours.conf"
CONTROL = "/run/pod-bird/bird.ctl"
# Kubelets may not give themselves a label of this prefix (NodeRestriction).
REFLECTOR = "node-restriction.kubernetes.io/route-reflector"
# A number that no routing daemon has (see /etc/iproute2/rt_protos), so that our routes are told from others.
PROTOCOL = "197"
# BIRD's own number there.
BIRD = "12"


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
    """Return (pod CIDR, InternalIP, whether it is a reflector) of ``node``, None while a part is missing.

    A kubelet writes its own addresses: what is no IPv4 address does not come into a configuration of ours.
    """
    addresses = [a["address"] for a in node.get("status", {}).get("addresses", []) if a["type"] == "InternalIP"]
    addresses = [address for address in addresses if is_ipv4(ipaddress.IPv4Address, address)]
    cidr = node.get("spec", {}).get("podCIDR")
    reflects = REFLECTOR in node["metadata"].get("labels", {})
    return (cidr, addresses[0], reflects) if addresses and is_ipv4(ipaddress.IPv4Network, cidr) else None


def is_ipv4(kind, text):
    """Tell whether ``text`` is an address, or a network, of IPv4 and nothing else."""
    try:
        return str(kind(text)) == text
    except ValueError:
        return False


def ip(*argv):
    """Run ip route; what fails is said and tried again at the next look."""
    done = subprocess.run(["ip", "route", *argv], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        print("ip route", *argv, done.stdout.decode().strip(), file=sys.stderr, flush=True)
    return done.stdout.decode()


def settle(wanted, kept=()):
    """Make this host's routes equal ``wanted``: pod CIDR to gateway; those of ``kept`` may stay."""
    found = {}
    for line in ip("show", "proto", PROTOCOL).splitlines():
        words = line.split()
        if "via" in words:
            found[words[0]] = words[words.index("via") + 1]
    for cidr, gateway in wanted.items():
        if found.get(cidr) != gateway:
            ip("replace", cidr, "via", gateway, "proto", PROTOCOL)
    for cidr in found:
        if cidr not in wanted and cidr not in kept:
            ip("del", cidr, "proto", PROTOCOL)


def untold(nodes):
    """Return the pod CIDRs of ``nodes`` that BIRD has no route to: what was static before stays until it has."""
    told = {line.split()[0] for line in ip("show", "proto", BIRD).splitlines()}
    return {route[0] for route in nodes.values() if route} - told


def neighbours(nodes, own, arguments):
    """Return BIRD's part about this node's own pods and its neighbours, from whom it takes their own pods' route only.

    A reflector tells its clients' routes on, and what another reflector tells it may be anybody's.
    """
    mine = nodes.get(own)
    if mine is None:
        return ""
    known_as = {mine[1]}
    parts = ["protocol static own {\n  ipv4;\n  route %s blackhole;\n}\n" % mine[0]]
    mesh = arguments.routing == "bgp-mesh"
    for name in sorted(nodes):
        known = nodes[name]
        if name == own or known is None or not (mesh or mine[2] or known[2]):
            continue
        cidr, address, reflects = known
        if address in known_as:
            print(name, "has an address that another node has:", address, file=sys.stderr, flush=True)
            continue
        known_as.add(address)
        told = ["  neighbor %s as %d;" % (address, arguments.as_number)]
        if not mesh and not reflects:
            told.append("  rr client;")
        if not reflects:
            told.append("  ipv4 { import where net = %s; };" % cidr)
        symbol = "node_" + address.replace(".", "_")
        parts.append("# %s\nprotocol bgp %s from neighbour {\n%s\n}\n" % (name, symbol, "\n".join(told)))
    return "\n".join(parts)


def tell(text, birdc):
    """Put the neighbours' file in place and have BIRD read it; a BIRD that does not run reads it when it starts."""
    try:
        with open(NEIGHBOURS) as file:
            if file.read() == text:
                return
    except OSError:
        pass
    with open(NEIGHBOURS + ".new", "w") as file:
        file.write(text)
    os.rename(NEIGHBOURS + ".new", NEIGHBOURS)
    for _ in range(10):
        if not os.path.exists(CONTROL):
            return
        done = subprocess.run([birdc, "-s", CONTROL, "configure"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0 and b"Reconfig" in done.stdout:
            return
        # Between its start and its first question it does not answer.
        print("birdc configure:", done.stdout.decode().strip(), file=sys.stderr, flush=True)
        time.sleep(0.5)
    os.remove(NEIGHBOURS)
    raise OSError("BIRD does not take its neighbours")


def follow(arguments):
    """List Nodes, then follow their changes until the server ends the watch."""
    kubeconfig, own = arguments.kubeconfig, arguments.node
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
        bgp = arguments.routing != "static"
        wanted = {} if bgp else {r[0]: r[1] for name, r in nodes.items() if r and name != own}
        if before is None or wanted != before:
            settle(wanted, untold(nodes) if bgp else ())
            before = wanted
        if bgp:
            tell(neighbours(nodes, own, arguments), arguments.birdc)
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
    parser.add_argument("--routing", default="static")
    parser.add_argument("--as-number", type=int, default=64512)
    parser.add_argument("--birdc", default="/usr/sbin/birdc")
    parser.add_argument("--clean", action="store_true")
    arguments = parser.parse_args()
    if arguments.clean:
        settle({})
        if os.path.exists(NEIGHBOURS):
            os.remove(NEIGHBOURS)
        subprocess.run(["ip", "link", "delete", "cni0"], stderr=subprocess.DEVNULL)
        return
    while True:
        try:
            follow(arguments)
        except (OSError, ValueError, http.client.HTTPException) as e:
            print("the API server:", e or type(e).__name__, file=sys.stderr, flush=True)
            time.sleep(2)


main()
