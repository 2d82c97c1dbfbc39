"""Runs on a master by its own Python (3.6 and later, standard library only): how its components run, as JSON.

It reads, it changes nothing. Flags come from the running processes, files are told by their digests.
"""

import glob
import hashlib
import json
import os

COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def flags(argv):
    """Return the flags of a command line by name; a flag without '=' is true, or has the next word."""
    found = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            continue
        name, equals, value = word[2:].partition("=")
        if not equals:
            value = words.pop(0) if words and not words[0].startswith("--") else "true"
        found.setdefault(name, []).append(value)
    return {name: ",".join(values) for name, values in found.items()}


def digest(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as e:
        return "unreadable: %s" % e.strerror


def main():
    told = {}
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as file:
                argv = [word.decode(errors="replace") for word in file.read().split(b"\0") if word]
        except OSError:
            continue
        name = os.path.basename(argv[0]) if argv else ""
        if name in COMPONENTS:
            told[name] = flags(argv[1:])
    files = {
        value: digest(value)
        for given in told.values()
        for value in given.values()
        if value.startswith("/") and os.path.isfile(value)
    }
    print(json.dumps({"components": told, "files": files}))


main()
