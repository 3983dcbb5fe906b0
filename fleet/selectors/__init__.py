"""READS. Questions, named by nouns; they return QuerySets or frozen rows and never write.

A noun with one question is a file. A noun with several is a package: the list is in the module of its own name.
"""
