"""Runs on a host by its own Python (3.6 and later, standard library only): how its components are set up, as JSON.

It reads, it changes nothing. Units are read from the disk, as a restart would find them, not as systemd remembers them.
"""

import glob
import json
import os
import platform
import re
import subprocess

COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "containerd",
)
# Where systemd looks for units, what counts most first.
PLACES = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
CONFIG = re.compile(r"--config(?:-file)?[= ]\s*[\"']?(/[^\s\"'\\]+)")
ENVIRONMENT = re.compile(r"^\s*EnvironmentFile\s*=\s*-?(/\S+)", re.MULTILINE)
VERSION = re.compile(r"\bv?(\d+\.\d+\.\d+[^\s,]*)")
LARGEST = 1 << 18


def text_of(path):
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
            return ""
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def unit_files(name):
    """Return a unit's fragment and its drop-ins, in the order in which systemd reads them."""
    fragment = next((p for p in (os.path.join(place, name) for place in PLACES) if os.path.isfile(p)), "")
    if not fragment:
        return []
    stem = name.rpartition(".")[0].split("-")
    levels = ["service.d"] + ["-".join(stem[:n]) + "-.service.d" for n in range(1, len(stem))] + [name + ".d"]
    found = {}
    for level in levels:
        for place in reversed(PLACES):
            for path in glob.glob(os.path.join(place, level, "*.conf")):
                found[os.path.basename(path)] = path
    drop_ins = [found[key] for key in sorted(found) if os.path.realpath(found[key]) != "/dev/null"]
    return [{"path": path, "text": text_of(path)} for path in [fragment, *drop_ins]]


def processes():
    """Return component, process, arguments and unit of each that runs on this host; what is in a container does not."""
    found, here = [], os.readlink("/proc/self/ns/pid")
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        pid = path.split("/")[2]
        try:
            if os.readlink("/proc/%s/ns/pid" % pid) != here:
                continue
            with open(path, "rb") as file:
                argv = [word.decode(errors="replace") for word in file.read().split(b"\0") if word]
            if argv and os.path.basename(argv[0]) in COMPONENTS:
                unit = re.findall(r"/([^/\n]+\.service)", text_of("/proc/%s/cgroup" % pid))
                found.append((os.path.basename(argv[0]), pid, argv, unit[-1] if unit else ""))
        except OSError:
            continue
    return found


def version(path):
    try:
        said = subprocess.run([path, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=10)
        found = VERSION.search(said.stdout.decode(errors="replace"))
        return found.group(1) if found else ""
    except (OSError, subprocess.SubprocessError):
        return ""


def same(path, other):
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def unit(component, files, running):
    """Return all that says how a component is set up, by its unit where it has one, else by its process."""
    texts = "\n".join(file["text"] for file in files)
    environment = {path: text_of(path) for path in ENVIRONMENT.findall(texts)}
    pid, argv = running or ("", [])
    said = "\n".join([texts, *environment.values(), " ".join(argv) + " "])
    paths = set(CONFIG.findall(said))
    if component == "containerd":
        paths.add("/etc/containerd/config.toml")
    binaries = re.findall(r"(/[\w./-]*/%s)(?=[\s\"']|$)" % component, texts, re.MULTILINE)
    binary, process = binaries[-1] if binaries else "", "/proc/%s/exe" % pid if pid else ""
    found = version(binary or process)
    return {
        "component": component,
        "files": files,
        "environment": environment,
        "configs": {path: text_of(path) for path in sorted(paths) if os.path.isfile(path)},
        "argv": argv,
        "version": found,
        "running": "" if not process else found if not binary or same(binary, process) else version(process),
    }


def main():
    running = {}
    for component, pid, argv, name in processes():
        # containerd's shims and ctr have names of their own; of two the first is the unit's.
        running.setdefault(component, (pid, argv, name))
    units = []
    for component in COMPONENTS:
        pid, argv, name = running.get(component, ("", [], ""))
        files = unit_files(name or component + ".service") or unit_files(component + ".service")
        if files or pid:
            units.append(unit(component, files, (pid, argv) if pid else None))
    containerd = next((each["version"] for each in units if each["component"] == "containerd"), "")
    machine = {
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "serving": os.path.exists("/var/lib/kubelet/pki/kubelet-server-current.pem"),
        "kernel": platform.release(),
        "containerd": containerd,
        "runc": version("runc") if containerd else "",
    }
    print(json.dumps({"units": units, "machine": machine}))


main()
