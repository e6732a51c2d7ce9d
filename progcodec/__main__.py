"""``python -m progcodec``."""

from progcodec.cli import main

if __name__ == "__main__":
    main(prog_name="progcodec")
