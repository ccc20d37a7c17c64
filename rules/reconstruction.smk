rule inspect_decoder:
    input:
        card="results/{dataset}/features/{model}/card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
        decoder=lambda wildcards: ancient(inputs.decoder_checkpoint(config, wildcards.model)),
    output:
        card="results/{dataset}/reconstruction/{model}.card.json",
    log:
        "logs/inspect_decoder/{dataset}.{model}.log",
    benchmark:
        "logs/inspect_decoder/{dataset}.{model}.benchmark.tsv"
    priority: 100
    conda:
        "../envs/gpu.yaml"
    threads: 1
    resources:
        mem_mb=more(8000),
        runtime=more(30),
    params:
        spec=lambda wildcards: spec(specs.decoder_card(config, wildcards.dataset, wildcards.model)),
        weights=lambda wildcards: inputs.packaged_decoder(config, wildcards.model),
        code=lambda wildcards: code("inspect_decoder", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/inspect_decoder.py"


rule reconstruct:
    input:
        store=ancient("results/{dataset}/tiles/clean.zarr"),
        manifest="results/{dataset}/tiles/clean.manifest.json",
        variances="results/{dataset}/variance_spectrum/{model}.parquet",
        card="results/{dataset}/features/{model}/card.json",
        decoder_card="results/{dataset}/reconstruction/{model}.card.json",
        checkpoint=lambda wildcards: ancient(inputs.checkpoint(config, wildcards.model)),
        decoder=lambda wildcards: ancient(inputs.decoder_checkpoint(config, wildcards.model)),
    output:
        store=directory("results/{dataset}/reconstruction/{model}.zarr"),
        manifest="results/{dataset}/reconstruction/{model}.manifest.json",
    log:
        "logs/reconstruct/{dataset}.{model}.log",
    benchmark:
        "logs/reconstruct/{dataset}.{model}.benchmark.tsv"
    conda:
        "../envs/gpu.yaml"
    threads: min(8, config["threads"])
    resources:
        gpu=network_gpus,
        mem_mb=more(16000),
        runtime=more(240),
    params:
        spec=lambda wildcards: spec(specs.reconstruction(config, wildcards.dataset, wildcards.model)),
        code=lambda wildcards: code("reconstruct", *inputs.model_modules(config, wildcards.model)),
    script:
        "../workflow/scripts/reconstruct.py"
