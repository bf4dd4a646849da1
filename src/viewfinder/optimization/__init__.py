"""Models made smaller and quicker, and what each step costs them in accuracy.

Which steps are taken, and which graph is chosen in the end, is said in `pipelines/`.
"""
