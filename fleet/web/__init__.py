"""SHOWS. Pages: ask selectors, act through services, render a page or its htmx partial from one view."""
