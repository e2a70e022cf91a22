"""The pages of the Django project; the library's own are below /oidc/."""

from django.http import JsonResponse
from django.urls import include, path


def me(request):
    return JsonResponse({"email": request.user.email if request.user.is_authenticated else None})


urlpatterns = [path("oidc/", include("mozilla_django_oidc.urls")), path("", me)]
