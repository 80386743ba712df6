"""`python -m certs --folder STATE/tls --host NAME [--host NAME …] [--owner USER] [--given PEM --given-key KEY]`
`python -m certs --folder FOLDER --inner|--stores`

Run by the runtime environment (it needs `cryptography`). Makes ca.pem, ca.key, server.pem and
server.key in the folder, keeps what is valid, renews what ends within 30 days or does not fit the
hosts, and prints one line for each of the two certificates with what it did. Exit code 0, or 78
with one sentence. `--owner` (when root runs it) owns server.key, which nginx reads unprivileged.
With `--given` and `--given-key` the certificate in those files becomes server.pem, once it was
found to be in order; the authority is left as it is. With `--inner` the folder gets what edges and
apps on different hosts show each other: ca, app and edge, a .pem and a .key each. With `--stores` it
gets those of the stores of a cluster and of the roles that ask them (certs/stores.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from certs.authority import CertificateError, ensure
from certs.given import take
from certs.inner import ensure_inner
from certs.stores import ensure_stores

EX_CONFIG = 78


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m certs", description="Make or renew the local certificates.")
    parser.add_argument("--folder", type=Path, required=True, help="where the four files are kept")
    parser.add_argument("--host", action="append", default=[], help="a name or address (repeat it)")
    parser.add_argument("--inner", action="store_true", help="the certificates of edges and apps on different hosts")
    parser.add_argument("--stores", action="store_true", help="the certificates of a cluster's stores and their roles")
    parser.add_argument("--owner", help="the user that reads server.key (only when root runs this)")
    parser.add_argument("--given", type=Path, help="a certificate from elsewhere, the chain after it")
    parser.add_argument("--given-key", type=Path, help="its key")
    options = parser.parse_args(arguments)
    hosts = tuple(options.host)
    try:
        if [options.inner, options.stores, bool(hosts)].count(True) != 1:
            raise CertificateError("Name the hosts with --host, or ask for --inner, or for --stores.")
        if options.inner:
            said = ensure_inner(options.folder)
        elif options.stores:
            said = ensure_stores(options.folder)
        elif options.given and options.given_key:
            said = take(options.folder, options.given, options.given_key, hosts, owner=options.owner)
        elif options.given or options.given_key:
            raise CertificateError("A given certificate needs its key, and the key its certificate.")
        else:
            said = ensure(options.folder, hosts, owner=options.owner)
    except CertificateError as error:
        sys.stderr.write(f"{error}\n")
        return EX_CONFIG
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
