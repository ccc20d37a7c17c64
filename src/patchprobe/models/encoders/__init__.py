"""Networks that timm does not have, one module each; see :mod:`patchprobe.models.encoding`."""
