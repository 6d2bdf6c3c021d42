"""Market data in, decisions out; knows no screen."""

import os

# One BLAS thread a core turns a 4 ms step into 90 ms on a busy machine; numpy reads this on import.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
