rule fetch_checkpoint:
    output:
        # Only absent files are outputs here. With update, one that somebody puts there meanwhile is not deleted either.
        file=update(str(Path(config["checkpoint_root"]) / "{checkpoint}")),
    log:
        "logs/fetch_checkpoint/{checkpoint}.log",
    benchmark:
        "logs/fetch_checkpoint/{checkpoint}.benchmark.tsv"
    wildcard_constraints:
        checkpoint=inputs.absent_checkpoints(config),
    priority: 200
    # Compute nodes of a cluster often have no network.
    localrule: True
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(480),
    params:
        # Functions of the output, because Snakemake does not compare such params: another address or other code that fetches
        # makes nothing stale, since the content of a file does not depend on them.
        spec=lambda wildcards, output: spec(inputs.fetched(config, wildcards.checkpoint)),
        code=lambda wildcards, output: code("fetch_checkpoint"),
    script:
        "../workflow/scripts/fetch_checkpoint.py"
