"""Our client beside its peers, measured side by side: `nox -s bench` (see the README)."""
