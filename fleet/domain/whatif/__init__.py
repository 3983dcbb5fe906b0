"""What if: a changed snapshot through the same evaluation, before anybody applies the change. Pure; nothing is sent anywhere."""
