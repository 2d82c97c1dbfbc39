"""Runs on a host by its own Python (3.6 and later, standard library only) and prints what it sees as JSON.

It reads, it changes nothing. Its one argument is JSON: paths, ports, networks, endpoints and the CA to look with.
"""

import base64
import glob
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time

PROGRAMS_IN = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def text(path, default=""):
    try:
        with open(path) as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError):
        return default


def digest(path):
    """SHA-256 of a file's very bytes, nothing where it is not there."""
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def output(*argv):
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
        return done.stdout.decode(errors="replace") if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        return ""


def sysctl(name):
    """A kernel setting's value, or why it cannot be had: absent, or read-only."""
    path = "/proc/sys/" + name.replace(".", "/")
    if not os.path.exists(path):
        return "absent"
    if os.statvfs(path).f_flag & os.ST_RDONLY or not os.access(path, os.W_OK):
        return "read-only"
    return text(path)


def listeners():
    """Every TCP port somebody listens on, with the process' name."""
    inodes = {}
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in text(name).splitlines()[1:]:
            words = line.split()
            if words[3] == "0A":
                inodes[words[9]] = int(words[1].rsplit(":", 1)[1], 16)
    owners = {}  # type: dict[str, str]
    for link in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            target = os.readlink(link)
        except OSError:
            continue
        if target.startswith("socket:[") and target[8:-1] in inodes:
            owners.setdefault(target[8:-1], text("/proc/%s/comm" % link.split("/")[2]))
    seen = {port: owners.get(inode, "?") for inode, port in inodes.items()}
    return [{"port": port, "process": seen[port]} for port in sorted(seen)]


def space(path):
    """Room and writability of the nearest existing directory at or above path."""
    where = path
    while not os.path.isdir(where):
        where = os.path.dirname(where)
    told = os.statvfs(where)
    return {
        "path": path,
        "free": told.f_bavail * told.f_frsize,
        "writable": not told.f_flag & os.ST_RDONLY and os.access(where, os.W_OK),
    }


def reach(endpoint, ca):
    """A TLS handshake with endpoint, its certificate checked against the cluster's CA."""
    host, _, port = endpoint.rpartition(":")
    try:
        context = ssl.create_default_context(cadata=ca)
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5) as raw:
            with context.wrap_socket(raw, server_hostname=host.strip("[]")) as talk:
                return {"endpoint": endpoint, "error": "", "version": served(talk)}
    except (OSError, ValueError) as e:
        return {"endpoint": endpoint, "error": str(e) or type(e).__name__}


def served(talk):
    """Which version an API server is, as it tells anybody who asks; nothing where it does not."""
    try:
        talk.settimeout(2)
        talk.sendall(b"GET /version HTTP/1.0\r\nAccept: application/json\r\n\r\n")
        said = b""
        while len(said) < 1 << 16:
            block = talk.recv(4096)
            if not block:
                break
            said += block
        return str(json.loads(said.partition(b"\r\n\r\n")[2].decode())["gitVersion"]).lstrip("v")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def cgroups():
    """Version of the cgroup hierarchy containers would use, and its controllers."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return 2, text("/sys/fs/cgroup/cgroup.controllers").split()
    lines = [line.split("\t") for line in text("/proc/cgroups").splitlines()[1:]]
    return 1, [words[0] for words in lines if words[-1] == "1"]


def kernel_has(asked):
    """For each module whether this kernel has it, by the symbol of its configuration: there, absent, or unknown.

    Inside the kernel it shows in the configuration only; as a module it is loaded, or a file below /lib/modules.
    """
    release = platform.release()
    settings = text("/boot/config-" + release)
    try:
        with gzip.open("/proc/config.gz", "rt") as file:
            settings = file.read()
    except (OSError, EOFError):
        pass
    inside = set(re.findall(r"^CONFIG_(\w+)=y$", settings, re.MULTILINE))
    listed = "/lib/modules/%s/modules." % release
    files = text(listed + "builtin") + "\n" + text(listed + "dep")
    names = {os.path.basename(line.split(":")[0]).split(".")[0].replace("-", "_") for line in files.splitlines()}
    found = {}
    for name, symbol in asked.items():
        there = symbol in inside or name in names or os.path.isdir("/sys/module/" + name)
        known = bool(settings) or os.path.exists(listed + "dep")
        found[name] = "there" if there else "absent" if known else "unknown"
    return found


def links():
    """Every interface with its MTU and addresses, those of pods left out."""
    try:
        told = json.loads(output("ip", "-json", "addr", "show") or "[]")
    except ValueError:
        return []
    pods = ("cni", "veth", "kube-", "cali", "lxc")
    return [
        {
            "name": link["ifname"],
            "mtu": link["mtu"],
            "addresses": ["%s/%s" % (a["local"], a["prefixlen"]) for a in link.get("addr_info", []) if "local" in a],
        }
        for link in told
        if "ifname" in link and not link["ifname"].startswith(pods)
    ]


def exists_or_holds(path):
    """A file that is there, or a directory with something in it."""
    return os.path.isfile(path) or (os.path.isdir(path) and bool(os.listdir(path)))


def receipt():
    """Whose bundle was placed here by an earlier run, if one was."""
    for name in ("worker", "master", "etcd"):
        try:
            claim = json.loads(text("/var/lib/scaler/%s.json" % name) or "{}").get("claim", {})
        except ValueError:
            continue
        if claim:
            return {str(key): str(value) for key, value in claim.items()}
    return {}


def main():
    asked = json.loads(sys.argv[1])
    os_release = dict(
        line.split("=", 1) for line in text("/etc/os-release").splitlines() if "=" in line and not line.startswith("#")
    )
    version, controllers = cgroups()
    own = [
        n for n in os.listdir("/sys/class/net") if n != "lo" and not n.startswith(("cni", "veth", "kube-", "docker"))
    ]
    addresses = [w.split()[3].split("/")[0] for w in output("ip", "-o", "addr", "show").splitlines()]
    containerd = shutil.which("containerd", path=PROGRAMS_IN)
    print(
        json.dumps(
            {
                "hostname": socket.gethostname(),
                "machine_id": text("/etc/machine-id"),
                "product_uuid": text("/sys/class/dmi/id/product_uuid").lower(),
                "boot_id": text("/proc/sys/kernel/random/boot_id"),
                "macs": sorted(text("/sys/class/net/%s/address" % name) for name in own),
                "addresses": addresses,
                "arch": platform.machine(),
                "os_id": os_release.get("ID", "").strip('"'),
                "os_version": os_release.get("VERSION_ID", "").strip('"'),
                "kernel": platform.release(),
                "python": platform.python_version(),
                "systemd": os.path.isdir("/run/systemd/system"),
                "cgroup": version,
                "controllers": controllers,
                "swaps": [line.split()[0] for line in text("/proc/swaps").splitlines()[1:]],
                "filesystems": [line.split()[-1] for line in text("/proc/filesystems").splitlines()],
                "sysctls": {name: sysctl(name) for name in asked["sysctls"]},
                "listeners": listeners(),
                "spaces": [space(path) for path in asked["spaces"]],
                "leftovers": [path for path in asked["leftovers"] if exists_or_holds(path)],
                "ca_digest": digest(asked["ca_file"]),
                "receipt": receipt(),
                "containerd": (output(containerd, "--version") + " ? ? ?").split()[2] if containerd else "",
                "routes": [
                    line.split()[0] for line in output("ip", "route", "show", "table", "all").splitlines() if line
                ],
                "reach": [reach(endpoint, base64.b64decode(asked["ca"]).decode()) for endpoint in asked["endpoints"]],
                "resolv_conf": os.path.exists("/etc/resolv.conf"),
                "modules": kernel_has(asked["modules"]),
                "programs": [name for name in asked["programs"] if shutil.which(name, path=PROGRAMS_IN)],
                "links": links(),
                "active": [name for name in asked["units"] if output("systemctl", "is-active", name) == "active"],
                "time": time.time(),
            }
        )
    )


main()
