"""Stage `raw`: official address, mirror or embedded world -> data/raw/<domain>/.

Usage: python -m benchmark.stages.raw --domain movie
"""

import logging
import sys
from collections.abc import Sequence

from benchmark.arguments import stage_arguments
from benchmark.artifacts.files import replacing_folder
from benchmark.artifacts.paths import raw_folder
from benchmark.config.names import refuse_unknown
from benchmark.config.params import Params
from benchmark.data.domains import raw_files
from benchmark.data.sources import chosen_mirror, describe_embedded, fetch, read_manifest
from benchmark.errors import exit_code_of
from benchmark.methods.configuration import load_config

_LOG = logging.getLogger(__name__)


def raw(domain: str, params: Params) -> None:
    """Write the raw files of a domain and their manifest.

    Raises:
        ConfigError: no such domain.
        DataError: a file can't be had or is not the released one.
    """
    refuse_unknown("domains", domain, params.domains)
    section = params.domains[domain]
    folder = raw_folder(domain)
    if section.source == "embedded":
        from benchmark.data.world import generator

        with replacing_folder(folder) as temporary:
            generator.write_raw(params.world, section.format, section.noun, temporary)
            describe_embedded(temporary)
    else:
        fetch(raw_files(section), folder, chosen_mirror(params.data.mirror))
    for name, entry in read_manifest(folder).items():
        _LOG.info("%s: %s from %s, sha256 %s", domain, name, entry["origin"], entry["sha256"][:12])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage for one domain."""
    arguments = stage_arguments(__doc__, argv, "domain")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # One line a file is enough; the client logs every redirect.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return exit_code_of(lambda: raw(arguments.domain, load_config()))


if __name__ == "__main__":
    sys.exit(main())
