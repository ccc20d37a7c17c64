rule inspect_image_features:
    input:
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        card="results/{dataset}/image_features/{model}.card.json",
    log:
        "logs/inspect_image_features/{dataset}.{model}.log",
    benchmark:
        "logs/inspect_image_features/{dataset}.{model}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.image_features_card(config, wildcards.dataset, wildcards.model)),
        weights=lambda wildcards: inputs.packaged_weights(config, wildcards.model),
        code=lambda wildcards: code("inspect_image_features", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/inspect_image_features.py"


rule extract_image_features:
    input:
        store=ancient("results/{dataset}/tiles/clean.zarr"),
        manifest="results/{dataset}/tiles/clean.manifest.json",
        tile_card="results/{dataset}/features/{model}/card.json",
        card="results/{dataset}/image_features/{model}.card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/image_features/{model}.zarr"),
        manifest="results/{dataset}/image_features/{model}.manifest.json",
    log:
        "logs/extract_image_features/{dataset}.{model}.log",
    benchmark:
        "logs/extract_image_features/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(480),
    params:
        spec=lambda wildcards: spec(specs.image_features(config, wildcards.model)),
        code=lambda wildcards: code("extract_image_features", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/extract_image_features.py"


# What variants that are fitted on positions need beside; of models without one nothing asks for it.
rule extract_image_places:
    input:
        store=ancient("results/{dataset}/tiles/clean.zarr"),
        manifest="results/{dataset}/tiles/clean.manifest.json",
        tile_card="results/{dataset}/features/{model}/card.json",
        card="results/{dataset}/image_features/{model}.card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/image_features/{model}.places.zarr"),
        manifest="results/{dataset}/image_features/{model}.places.manifest.json",
    log:
        "logs/extract_image_places/{dataset}.{model}.log",
    benchmark:
        "logs/extract_image_places/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(240),
    params:
        spec=lambda wildcards: spec(specs.image_features(config, wildcards.model)),
        code=lambda wildcards: code("extract_image_places", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/extract_image_places.py"
