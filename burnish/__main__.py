"""`python -m burnish` is the command `burnish`, for where no script is on the PATH."""

from burnish.cli.main import main

if __name__ == "__main__":
    main()
