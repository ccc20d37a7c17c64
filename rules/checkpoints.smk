rule fetch_checkpoint:
    output:
        # Only absent files are outputs here. With update, one that somebody puts there meanwhile is not deleted either.
        file=update(str(Path(config["checkpoint_root"]) / "{checkpoint}")),
    log:
        "logs/fetch_checkpoint/{checkpoint}.log",
    benchmark:
        "logs/fetch_checkpoint/{checkpoint}.benchmark.tsv"
    wildcard_constraints:
        checkpoint=absent_checkpoints(),
    priority: 200
    # Compute nodes of a cluster often have no network.
    localrule: True
    conda:
        "../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=480,
    params:
        spec=fetching_spec,
        code=fetching_code,
    script:
        "../workflow/scripts/fetch_checkpoint.py"
