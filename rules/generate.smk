rule generate:
    output:
        folder=directory("results/{dataset}/raw"),
        manifest="results/{dataset}/raw.manifest.json",
    log:
        "logs/generate/{dataset}.log",
    benchmark:
        "logs/generate/{dataset}.benchmark.tsv"
    wildcard_constraints:
        dataset="|".join(GENERATED) or "none",
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=more(2000),
        runtime=more(60),
    params:
        spec=lambda wildcards: spec(specs.generation(config, wildcards.dataset)),
        code=lambda wildcards: code("generate", inputs.generator_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/generate.py"
