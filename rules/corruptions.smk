rule corrupt:
    input:
        images="results/{dataset}/images.csv",
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
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
        mem_mb=more(4000),
        runtime=more(240),
    params:
        spec=lambda wildcards: spec(specs.corruption(config, wildcards.dataset, wildcards.corruption)),
        code=lambda wildcards: code(
            "corrupt",
            inputs.adapter_module(config, wildcards.dataset),
            inputs.corruption_module(wildcards.corruption),
        ),
    script:
        "../workflow/scripts/corrupt.py"
