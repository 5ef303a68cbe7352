"""Identifiers and dated code tables of credit supervision.

Every module offers scalar functions and, under the same name with ``_expr`` behind it, their Polars
twins, which take a column name or an expression. Null in, null out, in both.
"""
