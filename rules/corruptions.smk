def corruption_spec(wildcards):
    return spec(
        **dataset_values(wildcards.dataset),
        tiling=config["datasets"][wildcards.dataset]["tiling"],
        seed=config["seed"],
        kind=wildcards.corruption,
        corruption=config["corruptions"][wildcards.corruption],
    )


rule corrupt:
    input:
        images="results/{dataset}/images.csv",
    output:
        store=directory("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
    wildcard_constraints:
        corruption="|".join(CORRUPTIONS) or "none",
    log:
        "logs/corrupt/{dataset}.{corruption}.log",
    benchmark:
        "logs/corrupt/{dataset}.{corruption}.benchmark.tsv"
    params:
        spec=corruption_spec,
        code=reader_code("corrupt"),
    threads: 1
    resources:
        mem_mb=4000,
        runtime=240,
    conda:
        "../envs/core.yaml"
    script:
        "../workflow/scripts/corrupt.py"
