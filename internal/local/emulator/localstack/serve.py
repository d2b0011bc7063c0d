"""Starts LocalStack on this machine: no container, no Docker, nothing fetched.

What it can't do here, or does wrong, is changed from outside (repairs.py, processes.py), so that the package on disk stays
as its authors published it. SLIPWAY_JARS names the folder with DynamoDB Local, SLIPWAY_JAVA the java that runs it.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import tether  # noqa: E402

tether.hold()

import repairs  # noqa: E402

repairs.apply(jars=os.environ.pop("SLIPWAY_JARS"), java=os.environ.pop("SLIPWAY_JAVA"))

from localstack.runtime.main import main  # noqa: E402

main()
