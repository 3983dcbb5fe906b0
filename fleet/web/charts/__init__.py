"""Charts: rows of selectors become Plotly figures in plain dicts, with colours as tokens of the page."""
