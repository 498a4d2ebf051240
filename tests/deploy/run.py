"""`make image`: the Dockerfile's steps as plain commands in an empty folder, and what comes out of them, started.

Needs the package registry, for it installs what the image installs. Not part of `make test`, which reads the same file
and starts the same commands with what is installed here (test_image.py).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.deploy.container import life, refusal
from tests.deploy.dockerfile import Failed, environ, follow, inside, read, stages


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="qrelay-image-") as name:
        try:
            root = follow(Path(name))
        except Failed as failed:
            sys.stdout.write(f"FAIL {failed}\n")
            return 1
        image = stages(read("Dockerfile"))[-1]
        code, said = refusal(image, root, {})
        if code != 78 or "QRELAY_API_KEYS" not in said or "QRELAY_ADMIN_SECRET" not in said:
            sys.stdout.write(f"FAIL without keys it ended with {code}: {said}\n")
            return 1
        health, ended = life(image, root, {})
        if "is ready" not in health or ended != 0:
            sys.stdout.write(f"FAIL it ended with {ended}; its health was {health!r}\n")
            return 1
        subprocess.run(["qrelay", "--version"], env=environ(image, root), check=True, timeout=60)
        for path in ("/opt/qrelay", "/data"):
            files = [file for file in inside(root, path).rglob("*") if file.is_file() and not file.is_symlink()]
            megabytes = sum(file.stat().st_size for file in files) / 1_000_000
            sys.stdout.write(f"{path}: {len(files)} files, {megabytes:.1f} MB\n")
    sys.stdout.write("ok   the image's steps, refusal, health and end\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
