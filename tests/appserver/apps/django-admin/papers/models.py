from django.db import models


class Paper(models.Model):
    title = models.CharField(max_length=100)
    attachment = models.FileField(upload_to="papers")
    written = models.DateTimeField()

    def __str__(self):
        return self.title
