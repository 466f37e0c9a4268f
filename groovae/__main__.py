"""`python -m groovae` is the same as `groovae`."""

import sys

from groovae.cli.main import main

sys.exit(main())
