"""Runs on a host by its own Python (3.6 and later, standard library only): what runs there, as JSON.

It reads, it changes nothing. Of files that the components name only certificates go out, never a key.
"""

import base64
import binascii
import glob
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import urllib.request

COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
NAMED = re.compile(r"[:=]\s*[\"']?(/[-._/A-Za-z0-9]+\.(?:crt|pem))")
INLINE = re.compile(r"client-certificate-data:\s*[\"']?([A-Za-z0-9+/=]+)")
# Of kube-proxy's configuration, which scaler and its like write as plain YAML: one key a line.
MODE = re.compile(r"^mode:\s*[\"']?(\w*)", re.MULTILINE)
SCHEDULER = re.compile(r"^ipvs:\s*\n(?:[ \t]+.*\n)*?[ \t]+scheduler:\s*[\"']?(\w*)", re.MULTILINE)
QUOTA = re.compile(r"quota-backend-bytes[:=]\s*(\d+)")
LARGEST = 1 << 18


def processes():
    """Return process and argument list of each component of this host's; what is in a container is none."""
    found, here = [], os.readlink("/proc/self/ns/pid")
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            if os.readlink(os.path.join(os.path.dirname(path), "ns", "pid")) != here:
                continue
            with open(path, "rb") as file:
                argv = [word.decode(errors="replace") for word in file.read().split(b"\0") if word]
        except OSError:
            continue
        name = os.path.basename(argv[0]) if argv else ""
        if name in COMPONENTS:
            found.append((name, path.split("/")[2], argv))
    return found


def text_of(path):
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
            return ""
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def paths_in(argv):
    values = [word.partition("=")[2] or word for word in argv[1:]]
    return [part for value in values for part in value.split(",") if part.startswith("/")]


def certificates(argv):
    """Yield path and PEM of what a component was started with, or what a file that it was started with names."""
    todo, seen = [(path, 0) for path in paths_in(argv)], set()
    while todo:
        path, depth = todo.pop(0)
        if path in seen:
            continue
        seen.add(path)
        text = text_of(path)
        blocks = CERTIFICATE.findall(text)
        for inline in INLINE.findall(text):
            try:
                blocks += CERTIFICATE.findall(base64.b64decode(inline).decode(errors="replace"))
            except (binascii.Error, ValueError):
                continue
        for block in blocks:
            yield path, block
        if depth < 2 and not blocks:
            todo += [(name, depth + 1) for name in NAMED.findall(text)]
            todo += [(name, depth + 1) for name in re.findall(r"kubeconfig:\s*[\"']?(/\S+?)[\"']?\s", text)]


def shown(address, port, certificate, key):
    """Return the certificate that a server shows in its handshake."""
    context = ssl._create_unverified_context()
    context.load_cert_chain(certificate, key)
    with socket.create_connection((address, port), 3) as raw:
        with context.wrap_socket(raw) as talk:
            return ssl.DER_cert_to_PEM_cert(talk.getpeercert(binary_form=True))


def proxy_mode():
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return opener.open("http://127.0.0.1:10249/proxyMode", timeout=2).read(64).decode(errors="replace").strip()
    except (OSError, ValueError):
        return ""


def option(argv, flag):
    """Return the last value of a flag, in either spelling."""
    found = [word.partition("=")[2] for word in argv if word.startswith(flag + "=")]
    found += [argv[at + 1] for at, word in enumerate(argv[:-1]) if word == flag]
    return found[-1] if found else ""


def proxy_told(argv):
    """Return mode and scheduler that kube-proxy was started with: its configuration wins over its flags."""
    text = text_of(option(argv, "--config"))
    if text:
        return ((MODE.findall(text) or [""])[0], (SCHEDULER.findall(text) or [""])[0])
    return option(argv, "--proxy-mode"), option(argv, "--ipvs-scheduler")


def version(pid):
    try:
        said = subprocess.run(
            ["/proc/%s/exe" % pid, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5
        )
        return said.stdout.decode(errors="replace").strip()[:64]
    except (OSError, subprocess.SubprocessError):
        return ""


def main():
    asked = json.loads(sys.argv[1])
    found, quota, proxy_version = {}, 0, ""
    running = processes()
    for name, pid, argv in running:
        for path, block in certificates(argv):
            if block not in found.setdefault(path, []):
                found[path].append(block)
        if name == "etcd":
            given = QUOTA.findall("\n".join(argv + [text_of(path) for path in paths_in(argv)]))
            quota = int(given[0]) if given else quota
        if name == "kube-proxy":
            proxy_version = version(pid)
    components = {name: argv for name, _, argv in running}
    wanted_mode, scheduler = proxy_told(components.get("kube-proxy", []))
    if "etcd" in components and asked["etcd"]:
        try:
            found["127.0.0.1:2379"] = [shown("127.0.0.1", 2379, *asked["etcd"])]
        except (OSError, ValueError):
            pass
    answer = {
        "components": components,
        "certificates": found,
        "quota": quota,
        "proxy_mode": proxy_mode() or wanted_mode,
        "proxy_scheduler": scheduler,
        "proxy_version": proxy_version,
    }
    print(json.dumps(answer))


main()
