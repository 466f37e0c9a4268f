"""`python -m groovae` is the same as `groovae`."""

import sys

from groovae.cli import main

sys.exit(main())
