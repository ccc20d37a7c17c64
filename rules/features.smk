rule inspect_model:
    input:
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        card="results/{dataset}/features/{model}/card.json",
    log:
        "logs/inspect_model/{dataset}.{model}.log",
    benchmark:
        "logs/inspect_model/{dataset}.{model}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.model_card(config, wildcards.dataset, wildcards.model)),
        weights=lambda wildcards: inputs.packaged_weights(config, wildcards.model),
        code=lambda wildcards: code("inspect_model", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/inspect_model.py"


rule extract:
    input:
        store=ancient("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
        # Where there are any, the job puts them together.
        shards=lambda wildcards: prepared(inputs.shards(config, **wildcards)),
    output:
        store=directory("results/{dataset}/features/{model}/{corruption}.zarr"),
        manifest="results/{dataset}/features/{model}/{corruption}.manifest.json",
    log:
        "logs/extract/{dataset}.{model}.{corruption}.log",
    benchmark:
        "logs/extract/{dataset}.{model}.{corruption}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=extraction_gpus,
        mem_mb=more(16000),
        runtime=more(480),
    params:
        spec=lambda wildcards: spec(
            specs.extraction(config, wildcards.dataset, wildcards.model, wildcards.corruption)
        ),
        code=lambda wildcards: code("extract", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/extract.py"


# A part of the tiles, for a data set that extraction.shards names. Its tokens wait in the hidden folder of the store; the
# mark, outside of results, says that they are whole, until the store has taken them over.
rule extract_shard:
    input:
        store=ancient("results/{dataset}/tiles/{corruption}.zarr"),
        manifest="results/{dataset}/tiles/{corruption}.manifest.json",
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        mark=temp(inputs.SHARD),
    log:
        "logs/extract_shard/{dataset}.{model}.{corruption}.{shard}.log",
    benchmark:
        "logs/extract_shard/{dataset}.{model}.{corruption}.{shard}.benchmark.tsv"
    wildcard_constraints:
        shard="[0-9]+-of-[0-9]+",
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(480),
    params:
        spec=lambda wildcards: spec(
            specs.extraction(config, wildcards.dataset, wildcards.model, wildcards.corruption)
        ),
        code=lambda wildcards: code("extract", *inputs.model_modules(config, wildcards.model)),
        store="results/{dataset}/features/{model}/{corruption}.zarr",
    script:
        "../workflow/scripts/extract_shard.py"
