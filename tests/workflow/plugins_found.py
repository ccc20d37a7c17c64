"""Snakemake's plugins, looked for where runs of the tests are forked from: each would do it anew, an eighth of a dry run."""

from snakemake.cli import get_argument_parser

get_argument_parser()
