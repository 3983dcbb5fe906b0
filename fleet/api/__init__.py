"""SERVES. REST under /api/v1/: serializer and viewset of one noun in one file."""
