# The tokens of a black image, of models with a variant or an analysis that is fitted on them.
rule extract_black:
    input:
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/black/{model}.zarr"),
        manifest="results/{dataset}/black/{model}.manifest.json",
    log:
        "logs/extract_black/{dataset}.{model}.log",
    benchmark:
        "logs/extract_black/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        gpu=network_gpus,
        mem_mb=more(8000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.black(config, wildcards.dataset, wildcards.model)),
        code=lambda wildcards: code("extract_black", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/extract_black.py"


use rule extract_black as extract_black_full_images with:
    input:
        card="results/{dataset}/full_images/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/full_images/black/{model}.zarr"),
        manifest="results/{dataset}/full_images/black/{model}.manifest.json",
    log:
        "logs/extract_black_full_images/{dataset}.{model}.log",
    benchmark:
        "logs/extract_black_full_images/{dataset}.{model}.benchmark.tsv"
    params:
        spec=lambda wildcards: spec(specs.full_images_extraction(config, wildcards.model)),
        code=lambda wildcards: code("extract_black", *inputs.model_modules(config, wildcards.model)),
