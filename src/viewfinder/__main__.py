"""`python -m viewfinder` is the command `viewfinder`."""

from viewfinder.cli.main import run

if __name__ == "__main__":
    run()
