"""A virtual environment for each framework, in an ignored folder, from pinned
requirements. Apart, their sizes and thread pools cannot touch each other."""
import glob
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CACHE = HERE.parent.parent / ".cache" / "peers"
OLDEST = (3, 12, 0)  # that the pinned releases support
SLOW = {(3, 13, 0)}  # torch.compile warns that its guards are slow there


def requirements(name):
    return (HERE / "requirements" / f"{name}.txt").read_text()


def versions(name):
    """The pinned releases, such as numpy 2.5.5."""
    lines = [line for line in requirements(name).splitlines() if "==" in line]
    return ", ".join(line.replace("==", " ") for line in lines)


def python_of(name):
    """The interpreter of a framework's environment, which is made if need be."""
    home, wanted = CACHE / name, requirements(name)
    stamp, python = home / "installed.txt", home / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    print(f"installing {versions(name)} into {home}", file=sys.stderr)
    if not python.exists():
        subprocess.run([newest_python(), "-m", "venv", home], check=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", HERE / "requirements" / f"{name}.txt"], check=True)
    stamp.write_text(wanted)
    return str(python)


def newest_python():
    """An interpreter that the requirements can be installed for."""
    candidates = [sys.executable, *(shutil.which(f"python3.{n}") for n in range(20, OLDEST[1] - 1, -1))]
    candidates += glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python3"))
    found = {version_of(path): path for path in candidates if path}
    newest = max(found.keys() - SLOW, default=(0, 0, 0))
    if newest < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise SystemExit(f"the peers need Python {wanted} or newer, and none was found on PATH")
    return found[newest]


def version_of(python):
    code = "import sys; print(*sys.version_info[:3])"
    shown = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return tuple(map(int, shown.stdout.split())) if shown.returncode == 0 else (0, 0, 0)


def any_numpy():
    """An interpreter that has some NumPy, whichever is at hand."""
    for python in (CACHE / "numpy" / "bin" / "python", sys.executable, "/usr/bin/python3"):
        if os.path.exists(python) and subprocess.run([python, "-c", "import numpy"], capture_output=True).returncode == 0:
            return str(python)
    return python_of("numpy")
