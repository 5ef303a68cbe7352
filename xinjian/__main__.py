"""``python -m xinjian`` is the ``xinjian`` command."""

import sys

from xinjian.cli import main

sys.exit(main())
