"""No more than a sign-in needs: sessions in signed cookies, and no database."""

import os

from django.core.management.utils import get_random_secret_key

HOME = os.environ.get("APP_URL", "http://localhost:8000")

ALLOWED_HOSTS = ["localhost", "127.0.0.1"]
DEBUG = os.environ.get("DEBUG") == "1"
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
ROOT_URLCONF = "app.urls"
SECRET_KEY = os.environ.get("SESSION_SECRET") or get_random_secret_key()
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HOME.startswith("https:")
SESSION_ENGINE = "django.contrib.sessions.backends.signed_cookies"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
USE_TZ = True
