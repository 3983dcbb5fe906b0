"""Forms: the fields of a request body become the structs that services take, with an error for each field."""
