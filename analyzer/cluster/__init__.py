"""Answers questions about a lake on many machines: the steps of questions run as tasks of an engine such as Spark.

Parts of a log travel as rows of three columns: the number of the part, the name of a relation, and its rows in Arrow's
format. An engine moves such rows and runs the functions of `tasks`, and needs to know nothing else.
"""
