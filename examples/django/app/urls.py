"""The pages of the application."""

from django.urls import path

from . import views

urlpatterns = [
    path("", views.home),
    path("login", views.login),
    path("auth/callback", views.callback),
    path("logout", views.logout),
]
