"""What every resource shares: authentication, permissions, lists, pages, query parameters, formats and errors."""
