"""`python -m certs --folder STATE/tls --host NAME [--host NAME …] [--owner USER]`

Run by the runtime environment (it needs `cryptography`). Makes ca.pem, ca.key, server.pem and
server.key in the folder, keeps what is valid, renews what ends within 30 days or does not fit the
hosts, and prints one line for each of the two certificates with what it did. Exit code 0, or 78
with one sentence. `--owner` (when root runs it) owns server.key, which nginx reads unprivileged.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from certs.authority import CertificateError, ensure

EX_CONFIG = 78


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m certs", description="Make or renew the local certificates.")
    parser.add_argument("--folder", type=Path, required=True, help="where the four files are kept")
    parser.add_argument("--host", action="append", required=True, help="a name or address (repeat it)")
    parser.add_argument("--owner", help="the user that reads server.key (only when root runs this)")
    options = parser.parse_args(arguments)
    try:
        said = ensure(options.folder, tuple(options.host), owner=options.owner)
    except CertificateError as error:
        sys.stderr.write(f"{error}\n")
        return EX_CONFIG
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
