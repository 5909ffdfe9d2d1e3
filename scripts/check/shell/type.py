"""Types beginnings of command lines and a tab into an interactive shell on a
terminal of its own, and looks for what the shell makes of them. fish is asked by
its own 'complete -C', which says what a tab would give."""

import os
import pty
import re
import select
import subprocess
import sys
import time

shell, folder = sys.argv[1:]
os.makedirs(f"{folder}/files/only-here", exist_ok=True)

# What is typed before the tab, and what must then be on the line.
TYPED = [
    ("gpudae tra", "gpudae train "),
    ("gpudae train --resu", "gpudae train --resume "),
    ("gpudae train two-m", "gpudae train two-moons "),
    ("gpudae train --preset va", "gpudae train --preset vae "),
    ("gpudae data conv", "gpudae data convert "),
    ("gpudae eval only", "gpudae eval only-here/"),
]
START = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'PS1="> "; bind "set enable-bracketed-paste off"; source <(gpudae completion bash)'),
    "zsh": (["zsh", "-f", "-i"], 'PS1="> "; autoload -U compinit; compinit -u -D; source <(gpudae completion zsh)'),
}


def read(fd, until, seconds):
    """Reads until a text is on the screen, or time is up."""
    seen, end = "", time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([fd], [], [], 0.1)[0]:
            try:
                seen += os.read(fd, 65536).decode(errors="replace")
            except OSError:
                break
        if until in plain(seen):
            return True, plain(seen)
    return False, plain(seen)


def plain(text):
    """The text without what moves the cursor and colours."""
    return re.sub(r"\x1b\[[0-9;?>]*[a-zA-Z]|\x1b[()=>][0-9A-B]?|\x1b\][^\a\x1b]*(\a|\x1b\\)|[\x07\x08\r]", "", text)


environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "TERM": "xterm", "HOME": f"{folder}/files", "LC_ALL": "C.UTF-8"}
if shell == "fish":
    for typed, want in TYPED:
        asked = ["fish", "--no-config", "-c", f"gpudae completion fish | source; complete -C {typed!r}"]
        given = subprocess.run(asked, cwd=f"{folder}/files", env=environment, capture_output=True, text=True, check=True).stdout
        if [line.split("\t")[0] for line in given.splitlines()] != [want.split()[-1]]:
            sys.exit(f"fish: {typed!r} and a tab give {given!r}, not {want!r}")
    print(f"fish: {len(TYPED)} completions")
    sys.exit()

command, setup = START[shell]
pid, fd = pty.fork()
if pid == 0:
    os.chdir(f"{folder}/files")
    os.execvpe(command[0], command, environment)
os.write(fd, f"{setup}\necho rea''dy\n".encode())
ready, screen = read(fd, "ready", 60)
if not ready:
    sys.exit(f"{shell} does not start:\n{screen}")
read(fd, "\0", 1)
for typed, want in TYPED:
    os.write(fd, typed.encode() + b"\t")
    found, screen = read(fd, want, 60)
    if not found:
        sys.exit(f"{shell}: {typed!r} and a tab give {screen!r}, not {want!r}")
    os.write(fd, b"\x15\n")  # away with the line
    read(fd, "\0", 0.5)
os.close(fd)
print(f"{shell}: {len(TYPED)} completions")
