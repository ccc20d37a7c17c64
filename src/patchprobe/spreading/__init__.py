"""Work that is spread over the processes of dask distributed, where the configuration names a scheduler."""
