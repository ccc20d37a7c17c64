"""All results: every table of the run on one page, sorted, filtered, and compared with a model."""
