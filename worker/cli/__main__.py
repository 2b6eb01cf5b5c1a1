"""``python -m worker.cli``: the command where no script is installed (child processes of the demo and the tests)."""

from worker.cli import main

if __name__ == "__main__":
    main()
