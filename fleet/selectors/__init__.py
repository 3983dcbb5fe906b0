"""READS. Questions, named by nouns; they return QuerySets or frozen rows and never write."""
