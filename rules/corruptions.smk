rule corrupt:
    input:
        images="results/{dataset}/images.csv",
        generated=generated_folder,
    output:
        store=directory("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
    log:
        "logs/corrupt/{dataset}.{corruption}.log",
    benchmark:
        "logs/corrupt/{dataset}.{corruption}.benchmark.tsv"
    wildcard_constraints:
        corruption="|".join(CORRUPTIONS) or "none",
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        spec=corruption_spec,
        code=corruption_code,
    script:
        "../workflow/scripts/corrupt.py"
