"""What the jobs of the bench share: a laboratory on tmpfs, measured commands, one JSON object a repetition.

A job is a script in this directory. It takes the arguments below, prints one JSON object a repetition on standard output, and says
on standard error what it does. `measured` and `reference` each hold `seconds` (wall), `cpu_seconds` (user and system, of the measured
processes alone) and `peak_rss_bytes`, both measured in the same repetition. `figure` is what the row is about, as `kind` says: `times`
as long as the reference, `share` of the reference's rate, `seconds`, or `rate` in MB a CPU second; `bound` is its target.
"""

import argparse
import atexit
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")


def say(text):
    print(text, file=sys.stderr, flush=True)


def arguments(description, **more):
    """The arguments that every job takes; `more` are numbers of its own, with their defaults."""
    parser = argparse.ArgumentParser(description=description)
    # Ended from outside, it stops its servers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    parser.add_argument("--programs", type=Path, default=Path(target) / "release", help="where untether and lab are")
    parser.add_argument("--dir", type=Path, default=Path(f"/dev/shm/untether-bench-{os.getpid()}"), help="scratch, on tmpfs")
    parser.add_argument("--repetitions", type=int, default=5)
    for name, default in more.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(default), default=default)
    args = parser.parse_args()
    args.programs, args.dir = args.programs.resolve(), args.dir.resolve()
    return args


class Measured:
    """Processes that run at the same time, from the start of the first to the end of the last."""

    def __init__(self, commands, env=None, cwd=None, output=None, check=(0,)):
        words = [[str(word) for word in command] for command in commands]
        asked = {"commands": words, "cwd": str(cwd) if cwd else None, "output": str(output) if output else None}
        measure = [sys.executable, "-S", str(Path(__file__).with_name("measure.py")), json.dumps(asked)]
        told = json.loads(subprocess.run(measure, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout)
        self.seconds, self.cpu, self.peak, self.codes = told["seconds"], told["cpu"], told["peak"], told["codes"]
        for code, command in zip(self.codes, words):
            if code not in check:
                raise SystemExit(f"{' '.join(command)} ended with exit code {code}; see {output}")

    def row(self):
        return {"seconds": round(self.seconds, 3), "cpu_seconds": round(self.cpu, 3), "peak_rss_bytes": self.peak}


class Place:
    """A directory with generated people, a configuration, and the tool."""

    def __init__(self, args, name, edit=None):
        self.programs, self.dir = args.programs, args.dir / name
        self.dir.parent.mkdir(parents=True, exist_ok=True)
        self.make()
        path = self.dir / "untether.toml"
        if edit:
            path.write_text(edit(path.read_text()))
        self.env = os.environ | {"UNTETHER_CONFIG": str(path), "LDAPTLS_CACERT": str(self.dir / "ca.pem")}

    def tool(self, program, *arguments, **how):
        command = [str(self.programs / program), *map(str, arguments)]
        done = subprocess.run(command, env=getattr(self, "env", None), capture_output=True, text=True, **how)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}: {done.stderr}")
        return done.stdout

    def untether(self, *arguments, state=None):
        return self.tool("untether", *(["--state", state] if state else []), *arguments, cwd=self.dir)

    def fresh_state(self):
        """A new, empty state directory in the place of the configured one."""
        shutil.rmtree(self.dir / "state", ignore_errors=True)
        self.untether("init")

    def measured(self, *arguments, state=None, check=(0,)):
        """One command of the tool, measured."""
        command = [self.programs / "untether", *(["--state", str(state)] if state else []), *map(str, arguments)]
        return Measured([command], env=self.env, cwd=self.dir, output=self.dir / "measured.out", check=check)


class Exports(Place):
    """Exports of generated people, without servers."""

    def __init__(self, args, name, people, edit=None):
        self.make = lambda: self.tool("lab", "exports", "--people", people, "--dir", self.dir)
        super().__init__(args, name, edit)


class Lab(Place):
    """Two servers with generated people, and the tool beside them."""

    def __init__(self, args, name, people, edit=None):
        self.make = lambda: self.tool("lab", "up", "--fresh", "--people", people, "--dir", self.dir)
        # A job that fails leaves no server behind.
        atexit.register(self.down)
        super().__init__(args, name, edit)
        self.described = json.loads((self.dir / "lab.json").read_text())

    def restart(self, change):
        """Changes the servers' data while they are down."""
        self.tool("lab", "down", "--dir", self.dir)
        change()
        self.tool("lab", "up", "--dir", self.dir)
        self.described = json.loads((self.dir / "lab.json").read_text())

    def fill(self):
        """Gives everybody an account in the independent directory, so that both stores are of one size."""
        extra = self.dir / "fill.ldif"
        with open(extra, "w") as out:
            out.writelines(missing_accounts(self.dir / "data"))
        add = ["slapadd", "-q", "-F", self.dir / "independent" / "slapd.d", "-n", "1", "-l", extra]
        self.restart(lambda: subprocess.run(add, check=True, capture_output=True))

    def search(self, store, output):
        """A paged `ldapsearch` for everything that the accounts of a store hold, over TLS, into a file."""
        described = self.described[store]
        reader = described["identities"]["reader"]
        command = ["ldapsearch", "-LLL", "-o", "ldif-wrap=no", "-E", "pr=1000/noprompt", "-H", described["ldaps_url"]]
        command += ["-x", "-D", reader["dn"], "-y", self.secret(reader["password_file"]), "-b", described["suffix"]]
        script = " ".join(map(shlex.quote, [*command, "(objectClass=inetOrgPerson)", "*", "+"]))
        return ["sh", "-c", f"exec {script} > {shlex.quote(str(output))}"]

    def searches(self):
        """Both stores at the same time. Gives the measured processes and the files."""
        files = [self.dir / f"{store}.found.ldif" for store in ("shared", "independent")]
        found = Measured([self.search(store, file) for store, file in zip(("shared", "independent"), files)], env=self.env)
        return found, files

    def plan(self, wave, through, state=None):
        """Audits, plans, approves, and accepts the gates that need people to log in. Gives the plan's id."""
        for command in ("init", "audit", "plan"):
            self.untether(command, state=state)
        shown = json.loads(self.untether("--json", "plan", "show", state=state).splitlines()[0])
        plan = shown["plan"]
        signed = ("--as", "approver-a", "--key", "people/approver-a", "--reason", "bench")
        self.untether("plan", "approve", "--plan", plan, "--wave", wave, "--through", through, *signed, state=state)
        for gate in ("mfa", "own-account"):
            to = ("--wave", f"{plan}/{wave}", "--until", "2099-12-31")
            self.untether("gate", "accept", gate, *to, *signed, state=state)
        return plan

    def run(self, plan, wave, through, state=None):
        """A run of a wave, measured; exit code 5 says that somebody was parked."""
        how = ("--plan", plan, "--wave", wave, "--through", through, "--execute")
        return self.measured("run", *how, state=state, check=(0, 5))

    def operations(self, plan, wave, stages, state=None):
        shown = json.loads(self.untether("--json", "plan", "show", "--plan", plan, "--wave", wave, state=state))
        operations = [line["operation"] for line in shown["wave"] if "operation" in line]
        return [operation for operation in operations if operation["stage"] in stages]

    def dump(self, store):
        """The entries of a store as LDIF says them: name (in lower case) to attribute (in lower case) to values."""
        command = ["slapcat", "-F", self.dir / store / "slapd.d", "-n", "1", "-o", "ldif-wrap=no"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        entries = {}
        for block in text.split("\n\n"):
            attributes = {}
            for line in block.splitlines():
                name, _, value = line.partition(":")
                attributes.setdefault(name.lower(), []).append(value)
            if "dn" in attributes:
                entries[attributes["dn"][0].strip().lower()] = attributes
        return entries

    def server_cpu(self):
        """Seconds of processor time that both servers have used so far."""
        total = 0
        for store in ("shared", "independent"):
            pid = self.described[store]["process"]["pid"]
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def modifier(self, store, file, url=None):
        """An `ldapmodify` with the writing identity, over TLS where no other way is given."""
        described = self.described[store]
        writer = described["identities"]["writer"]
        bind = ("-x", "-D", writer["dn"], "-y", self.secret(writer["password_file"]))
        return ["ldapmodify", "-H", url or described["ldaps_url"], *bind, "-f", str(file)]

    def proxied(self, store, *how, plain=False):
        """Puts a proxy between the tool and a store. Gives its process, which takes commands on standard input, and the way through it."""
        described = self.described[store]
        scheme, _, address = described["ldap_url" if plain else "ldaps_url"].partition("://")
        command = [str(self.programs / "lab"), "proxy", "--to", address, *map(str, how)]
        proxy = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(proxy.kill)
        through = f"{scheme}://" + re.search(r"127\.0\.0\.1:\d+", proxy.stdout.readline()).group()
        path = self.dir / "untether.toml"
        was, allowed = f'url = "{described["ldaps_url"]}"', "\nallow_plain_loopback = true" if plain else ""
        path.write_text(path.read_text().replace(was, f'url = "{through}"{allowed}'))
        return proxy, through

    def secret(self, path):
        # `-y` takes the file as it is, its line feed included.
        path = Path(path)
        stripped = self.dir / f"{path.parts[-3]}-{path.name}.stripped"
        stripped.write_text(path.read_text().rstrip("\n"))
        stripped.chmod(0o600)
        return str(stripped)

    def down(self):
        if self.dir.exists():
            self.tool("lab", "down", "--purge", "--dir", self.dir)
        # The laboratory leaves what is not its own.
        shutil.rmtree(self.dir, ignore_errors=True)


def joined(files, roster, output):
    """The awk script over two exports and a roster, measured."""
    script = Path(__file__).with_name("join.awk")
    return Measured([["awk", "-f", script, roster, *files]], env=os.environ | {"LC_ALL": "C"}, output=output)


def waves(subjects, batch):
    """An edit of the laboratory's configuration: waves of so many subjects and such batches, and no bound in their way."""

    def change(text):
        text = re.sub(r"(?m)^limit = \d+$", f"limit = {subjects}", text)
        text = re.sub(r"(?m)^batch_size = \d+$", f"batch_size = {batch}", text)
        text = re.sub(r"(max_\w+_percent) = [\d.]+(?=[, ])", r"\1 = 100.0", text)
        return text

    return change


def missing_accounts(data):
    """Accounts for the independent directory of those who have one in the shared store alone, as LDIF."""
    taken = set()
    with open(data / "independent.ldif") as file:
        for line in file:
            if line.startswith("uid: "):
                taken.add(line[5:-1])
    kept = ("uid:", "cn:", "sn:", "employeeNumber:", "mail:", "givenName:", "displayName:", "telephoneNumber:", "labEntity:")
    for block in open(data / "shared.ldif").read().split("\n\n"):
        lines = block.replace("\n ", "").splitlines()
        uid = next((line[5:] for line in lines if line.startswith("uid: ")), None)
        if uid is None or uid in taken or "employeeNumber: " not in block or "objectClass: inetOrgPerson" not in lines:
            continue
        taken.add(uid)
        own = [line for line in lines if line.startswith(kept)]
        yield f"dn: uid={uid},ou=people,dc=own,dc=example\nobjectClass: inetOrgPerson\nobjectClass: labAccount\n" + "\n".join(own) + "\n\n"


def frames(state):
    """The JSON of each frame of a ledger, in order."""
    for segment in sorted((Path(state) / "ledger").glob("*.log")):
        data = segment.read_bytes()
        offset = 0
        while offset + 8 <= len(data):
            length = int.from_bytes(data[offset : offset + 4], "little")
            yield json.loads(data[offset + 8 : offset + 8 + length])
            offset += 8 + length


def records_of(text):
    """How many records the last line of a run's output says that the ledger has."""
    found = re.findall(r"ledger at record (\d+)", text)
    return int(found[-1]) if found else None


def emit(row):
    row["figure"] = round(row["figure"], 4)
    row["load_average"] = round(os.getloadavg()[0], 1)
    print(json.dumps(row), flush=True)


def clean(args):
    shutil.rmtree(args.dir, ignore_errors=True)
