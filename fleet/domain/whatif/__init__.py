"""What if: a changed snapshot through the same evaluation, before a change is applied. Pure; nothing is sent anywhere."""
