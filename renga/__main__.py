"""`python -m renga`: the same as the `renga` command."""

from __future__ import annotations

from renga.cli import main

if __name__ == "__main__":
    main()
