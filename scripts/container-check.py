#!/usr/bin/env python3
"""Runs what packaging/container/compose.yaml describes, on a machine without a container engine.

Every server is in a network, mount and PID namespace of its own, under the user, with the volumes, the host name and the command that
compose.yaml and Containerfile give it; its root is read only. Then two applications at different servers get the same keys, over one
link and over two. It does not build the image. Needs root and PyYAML (Debian: python3-yaml); PHOTONGATE names the program.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent.parent / "packaging/container"
PROGRAM = Path(os.environ["PHOTONGATE"]).resolve()
USER = 12_345
NETWORK = f"pgc{os.getpid()}"
PATIENCE_S = 90


def main():
    site = Path(tempfile.mkdtemp(prefix="photongate-containers."))
    servers = {}
    try:
        shutil.copytree(HERE, site, dirs_exist_ok=True)
        os.chown(site, USER, USER)
        site.chmod(0o755)
        prepare = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", str(site / "prepare.sh")]
        run(prepare, env={**os.environ, "PHOTONGATE": str(PROGRAM)})
        services = yaml.safe_load((site / "compose.yaml").read_text())["services"]
        run(["ip", "link", "add", NETWORK, "type", "bridge"])
        run(["ip", "link", "set", NETWORK, "up"])
        hosts = {name: f"10.118.0.{number}" for number, name in enumerate(services, 1)}
        for name, service in services.items():
            plug_in(name, hosts[name])
        for name, service in services.items():
            servers[name] = start(site, name, service, hosts)
        share(site, ("qks-a", "alice"), ("qks-b", "bob"), servers)
        share(site, ("qks-c", "carol"), ("qks-b", "bob"), servers)
        share(site, ("qks-a", "alice"), ("qks-c", "carol"), servers)
        for server in servers.values():
            tell(server, signal.SIGTERM)
        codes = {name: server.wait(timeout=30) for name, server in servers.items()}
        if any(codes.values()):
            raise SystemExit(f"container-check: servers ended with {codes}")
    except BaseException:
        for log in site.glob("log-*"):
            print(f"{log.name}:\n{log.read_text()[-3000:]}", file=sys.stderr)
        raise
    finally:
        for server in servers.values():
            tell(server, signal.SIGKILL)
            server.wait()
        for name in servers or ["qks-a", "qks-b", "qks-c"]:
            subprocess.run(["ip", "netns", "delete", f"{NETWORK}-{name}"], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "link", "delete", NETWORK], stderr=subprocess.DEVNULL)
        shutil.rmtree(site)


def plug_in(name, address):
    """A network namespace for a service, at the bridge."""
    namespace, number = f"{NETWORK}-{name}", address.rsplit(".", 1)[1]
    run(["ip", "netns", "add", namespace])
    run(["ip", "link", "add", f"{NETWORK}v{number}", "type", "veth", "peer", "name", "eth0", "netns", namespace])
    run(["ip", "link", "set", f"{NETWORK}v{number}", "master", NETWORK, "up"])
    for words in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
        run(["ip", "-n", namespace, *words.split()])


def start(site, name, service, hosts):
    """Starts a service as an engine would, as far as this machine can."""
    root = site / f"root-{name}"
    mounts = [f"mkdir -p {root}", f"mount -t tmpfs tmpfs {root}"]
    # What is in the image beside the program.
    for folder in ("/usr", "/lib", "/lib64", "/bin"):
        if Path(folder).exists():
            mounts += [f"mkdir -p {root}{folder}", f"mount --rbind -o ro {folder} {root}{folder}"]
    mounts += [f"mkdir -p {root}/proc {root}/dev {root}/etc", f"mount -t proc proc {root}/proc", f"touch {root}/dev/null {root}/dev/urandom"]
    mounts += [f"mount --bind /dev/{device} {root}/dev/{device}" for device in ("null", "urandom")]
    mounts += [f"printf '127.0.0.1 localhost\\n' > {root}/etc/hosts"]
    mounts += [f"printf '{address} {host}\\n' >> {root}/etc/hosts" for host, address in hosts.items()]
    mounts += [f"touch {root}/photongate", f"mount --bind {PROGRAM} {root}/photongate"]
    for volume in service["volumes"]:
        source, target, *options = volume.split(":")
        source, target = (site / source).resolve(), f"{root}{target}"
        make = f"mkdir -p {target}" if source.is_dir() else f"mkdir -p $(dirname {target}) && touch {target}"
        mounts += [make, f"mount --bind {source} {target}"]
        if "ro" in options:
            mounts.append(f"mount -o remount,bind,ro {target}")
    if service.get("read_only"):
        mounts.append(f"mount -o remount,ro {root}")
    script = " && ".join([*mounts, f"exec chroot {root} setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs "
                          f"--bounding-set=-all --inh-caps=-all -- /photongate {' '.join(command())}"])
    words = ["ip", "netns", "exec", f"{NETWORK}-{name}", "unshare", "--mount", "--pid", "--fork", "--uts",
             "sh", "-c", f"hostname {service['hostname']} && {script}"]
    log = (site / f"log-{name}").open("w")
    return subprocess.Popen(words, stdout=log, stderr=log)


def tell(server, what):
    """Sends a signal to what `unshare` has started; it passes none on itself."""
    if server.poll() is None:
        for child in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split():
            os.kill(int(child), what)


def command():
    """What the image runs, after the program's own name."""
    return json.loads(re.search(r"^CMD (\[.*\])$", (HERE / "Containerfile").read_text(), re.M)[1])


def share(site, master, slave, servers):
    """Has two applications get a key each, and compares."""
    (at, who), (there, other) = master, slave
    begun = time.monotonic()
    while True:
        asked = client(site, at, who, "enc", other, "--out", f"keys-{who}-{other}")
        if asked.returncode == 0:
            break
        if time.monotonic() - begun > PATIENCE_S or any(server.poll() is not None for server in servers.values()):
            raise SystemExit(f"container-check: {who} gets no key for {other}: {asked.stderr}")
        time.sleep(0.5)
    key = asked.stdout.strip()
    fetched = client(site, there, other, "dec", who, key, "--out", f"keys-{other}-{who}")
    if fetched.returncode != 0:
        raise SystemExit(f"container-check: {other} does not get the key: {fetched.stderr}")
    one, two = (site / f"keys-{a}-{b}/{key}.key" for a, b in ((who, other), (other, who)))
    if one.read_bytes() != two.read_bytes():
        raise SystemExit("container-check: the keys differ")
    print(f"{who} and {other} share the key {key}")


def client(site, server, who, *arguments):
    words = ["ip", "netns", "exec", f"{NETWORK}-{server}", str(PROGRAM), "qks", "client", *arguments, "--url", "https://127.0.0.1:8443/"]
    words += ["--ca", "secrets/ca.pem", "--certificate", f"secrets/{who}.pem", "--key", f"secrets/{who}-key.pem"]
    # As who owns the private keys: others may not use them.
    words[4:4] = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    return subprocess.run(words, cwd=site, capture_output=True, text=True)


def run(words, **options):
    subprocess.run(words, check=True, **options)


main()
