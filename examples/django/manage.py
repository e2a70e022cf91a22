#!/usr/bin/env python3
"""Django's command line."""

import os

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "app.settings")

if __name__ == "__main__":
    execute_from_command_line()
