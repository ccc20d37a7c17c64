rule prepare_full_images:
    input:
        images="results/{dataset}/images.csv",
        generated=lambda wildcards: ancient(inputs.generated_folder(config, wildcards.dataset)),
        fetched=lambda wildcards: awaited(inputs.awaited_data(config, wildcards.dataset)),
    output:
        store=directory("results/{dataset}/full_images/images.zarr"),
        manifest="results/{dataset}/full_images/images.manifest.json",
        labels=directory("results/{dataset}/full_images/labels.zarr"),
        labels_manifest="results/{dataset}/full_images/labels.manifest.json",
    log:
        "logs/prepare_full_images/{dataset}.log",
    benchmark:
        "logs/prepare_full_images/{dataset}.benchmark.tsv"
    conda:
        "../envs/core.yaml"
    threads: min(4, config["threads"])
    resources:
        mem_mb=more(4000),
        runtime=more(120),
    params:
        spec=lambda wildcards: spec(specs.tiles(config, wildcards.dataset)),
        code=lambda wildcards: code("prepare_full_images", inputs.adapter_module(config, wildcards.dataset)),
    script:
        "../workflow/scripts/prepare_full_images.py"


rule inspect_full_images:
    input:
        images="results/{dataset}/images.csv",
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        card="results/{dataset}/full_images/features/{model}/card.json",
    log:
        "logs/inspect_full_images/{dataset}.{model}.log",
    benchmark:
        "logs/inspect_full_images/{dataset}.{model}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.full_images_card(config, wildcards.dataset, wildcards.model)),
        weights=lambda wildcards: inputs.packaged_weights(config, wildcards.model),
        code=lambda wildcards: code("inspect_full_images", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/inspect_full_images.py"


rule extract_full_images:
    input:
        store=ancient("results/{dataset}/full_images/images.zarr"),
        manifest="results/{dataset}/full_images/images.manifest.json",
        tile_card="results/{dataset}/features/{model}/card.json",
        card="results/{dataset}/full_images/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/full_images/features/{model}/clean.zarr"),
        manifest="results/{dataset}/full_images/features/{model}/clean.manifest.json",
    log:
        "logs/extract_full_images/{dataset}.{model}.log",
    benchmark:
        "logs/extract_full_images/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(480),
    params:
        spec=lambda wildcards: spec(specs.full_images_extraction(config, wildcards.model)),
        code=lambda wildcards: code("extract_full_images", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/extract_full_images.py"
