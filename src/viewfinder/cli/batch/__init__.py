"""`viewfinder classify`, part by part: where photos come from, who answers, where answers go.

It classifies nothing by itself: a server answers, or this process as a server would.
"""
