"""Write the reference pages: `python -m scripts.reference [FOLDER]`."""

import sys
from pathlib import Path

from scripts.reference import ROOT, write

write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
