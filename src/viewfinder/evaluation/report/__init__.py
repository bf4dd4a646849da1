"""An evaluation in words and pictures: the sentences of its verdict, and one HTML file of it all.

It works nothing out: what is shown has been found by its neighbours above.
"""
