"""The resource proxy: swaps a dataset token for one fetch at the agency. It has nowhere to put data.

Imports only `authz_server.core` and `authz_server.catalogue`, so that it can run on another host with nothing but its
settings: no database, no temporary file, no cache of data.
"""
