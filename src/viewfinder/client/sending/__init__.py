"""How a call is sent: over which connections, when again, and when it is given up.

It knows no operation; what is sent is a `viewfinder.client.call.Call`.
"""
