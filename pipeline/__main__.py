"""`python -m icstream.pipeline` is the command `icstream`."""

from icstream.pipeline.cli.main import main

main()
