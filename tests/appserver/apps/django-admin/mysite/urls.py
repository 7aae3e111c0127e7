"""Django itself serves its static files and what was uploaded, so that these go the whole way too."""

from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles.views import serve as serve_static
from django.urls import path
from django.views.static import serve

urlpatterns = [
    path("admin/", admin.site.urls),
    path("static/<path:path>", serve_static, {"insecure": True}),  # "insecure" means: although DEBUG is off
    path("media/<path:path>", serve, {"document_root": settings.MEDIA_ROOT}),
]
