"""``python -m gp_elm`` is the ``gp-elm`` command."""

from gp_elm.cli import main

if __name__ == "__main__":
    main()
