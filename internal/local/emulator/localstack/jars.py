"""Compares the files in jars with jars.sha256, all of them and no others; `jars.py write` writes jars.sha256.

Maven's own check compares each file with a checksum that comes from the same server.
"""
import hashlib
import pathlib
import sys

have = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in sorted(pathlib.Path("jars").iterdir())}
sums = pathlib.Path("jars.sha256")

if sys.argv[1:] == ["write"]:
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in have.items()))
else:
    want = {name: digest for digest, name in (line.split() for line in sums.read_text().splitlines())}
    wrong = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    if wrong:
        sys.exit(f"jars: {', '.join(wrong)}: missing, or not the file that jars.sha256 names")
