"""Graphs of one model side by side: made, tried, timed, and sealed as variants of a bundle.

What is asked for, and what becomes of the bundle, is the business of the pipelines around it.
"""
