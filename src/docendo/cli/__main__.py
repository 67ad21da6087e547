"""``python -m docendo.cli`` is ``docendo``."""

from docendo.cli.main import main

if __name__ == "__main__":
    main()
