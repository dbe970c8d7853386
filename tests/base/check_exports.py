"""Check that a shared library exports the functions that the public header declares, and nothing else.

usage: check_exports.py LIBRARY HEADER
"""

import re
import subprocess
import sys


def main() -> int:
    library, header = sys.argv[1:]
    table = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True)
    exported = {line.split()[-1].split("@")[0] for line in table.stdout.splitlines() if " A " not in line}
    with open(header, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", "", file.read(), flags=re.DOTALL | re.MULTILINE)
    declared = set(re.findall(r"\b(saggar_\w+)\s*\(", text))
    stray = sorted(exported - declared)
    missing = sorted(declared - exported)
    if stray:
        print("exported but not in the header:", *stray)
    if missing:
        print(f"declared but not exported ({len(missing)}):", *missing)
    if not declared:
        print("the header declares nothing")
    return 1 if stray or missing or not declared else 0


if __name__ == "__main__":
    sys.exit(main())
