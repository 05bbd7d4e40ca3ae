"""The command `icstream doctor`."""

from icstream.pipeline.cli.console import print_lines, write_results
from icstream.pipeline.cli.options import JsonFile


def doctor_command(json_file: JsonFile = None) -> int:
    """Check that this machine can run icstream."""
    from icstream.pipeline.diagnostics.doctor import check_environment

    findings = check_environment()
    write_results({finding.name: finding.values() for finding in findings}, json_file)
    print_lines(finding.line() for finding in findings)
    return 0 if all(finding.ok for finding in findings) else 1
