"""The command line: output, exit codes and processes."""
