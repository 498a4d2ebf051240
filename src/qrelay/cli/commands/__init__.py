"""Groups of commands: names, options and what `--help` says. What they do is in the modules they name."""
