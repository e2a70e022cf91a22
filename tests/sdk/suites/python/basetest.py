"""The base class of the SDK's tests, which its sdist lacks: a client from the environment variables of its README."""

import os
import unittest

from scalekit import ScalekitClient


class BaseTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        variables = ("SCALEKIT_ENV_URL", "SCALEKIT_CLIENT_ID", "SCALEKIT_CLIENT_SECRET")
        cls.scalekit_client = ScalekitClient(*(os.environ[name] for name in variables))
