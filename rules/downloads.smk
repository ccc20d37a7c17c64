rule fetch_data:
    output:
        # Only what is absent is an output here, as with checkpoints; data that are there are never deleted.
        marker=update(str(Path(config["data_root"]) / "{folder}" / MARKER)),
    log:
        "logs/fetch_data/{folder}.log",
    benchmark:
        "logs/fetch_data/{folder}.benchmark.tsv"
    wildcard_constraints:
        folder=inputs.absent_data(config),
    priority: 200
    # Compute nodes of a cluster often have no network.
    localrule: True
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=more(1000),
        runtime=more(1440),
    params:
        # Functions of the output, because Snakemake does not compare such params: another address makes nothing stale.
        spec=lambda wildcards, output: spec(inputs.fetched_data(config, wildcards.folder)),
        code=lambda wildcards, output: code("fetch_data"),
    script:
        "../workflow/scripts/fetch_data.py"
